package admin

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"net/netip"

	"larder/formats"
	"larder/policy"
)

//go:embed *.html
var pageFiles embed.FS

// styleHash admits the one style sheet of style.html; a test keeps it right.
const styleHash = "AqmSHnfRPPyc1BumjUpQ8etTcCrkeKaRr4DhX6NR1r4="

// pages are the HTML pages below /ui/.
type pages struct {
	*api
	templates *template.Template // by file name
}

// newPages returns the handler of /ui/. The edge refuses the forms of other sites.
func newPages(a *api) http.Handler {
	p := &pages{api: a, templates: template.Must(template.ParseFS(pageFiles, "*.html"))}
	mux := http.NewServeMux()
	mux.Handle("/ui", a.page(p.serveFront)) // a redirect would have to know the path that a proxy took away
	mux.Handle("/ui/{$}", a.page(p.serveFront))
	mux.Handle("/ui/login/{code}", a.page(p.serveLogin))
	mux.Handle("/", a.page(func(*call) error {
		return formats.Refuse(formats.ErrNotFound, "there is no such page yet: the pages are at /ui/ and /ui/login/<code>, the API at /api/v1")
	}))
	return mux
}

// page makes a handler with the headers of a page.
func (a *api) page(fn func(*call) error) http.Handler {
	return a.handle(func(c *call) (any, error) {
		h := c.w.Header()
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+styleHash+"'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		return handled{}, fn(c)
	})
}

// handled is the answer of a page that has written its own.
type handled struct{}

func (handled) replies() []reply { return nil }

func (handled) send(*call) error { return nil }

// loginPage is what the template shows.
type loginPage struct {
	Sentence string // what went wrong, "" at first
	Done     string // the user who is signed in now
	Waits    bool   // the login can still be confirmed
	// From is where it was begun, and You where the person is who confirms it:
	// that tells a login begun by somebody else.
	From, You netip.Addr
}

// maxForm bounds the login form, in bytes.
const maxForm = 16 << 10

// serveLogin shows the form, and binds whoever owns the token in it to the
// login that waits under the code of the path.
func (p *pages) serveLogin(c *call) error {
	read := c.r.Method == http.MethodGet || c.r.Method == http.MethodHead
	if !read && c.r.Method != http.MethodPost {
		return &formats.MethodError{Allow: []string{http.MethodGet, http.MethodHead, http.MethodPost}}
	}
	from, err := p.Pairing.Waiting(c.r.Context(), c.r.PathValue("code"))
	page := loginPage{Waits: err == nil, From: from, You: c.visit.Remote}
	if err == nil && !read {
		page.Done, err = p.confirm(c)
	}
	if err == nil {
		return p.show(c, http.StatusOK, page)
	}
	problem := c.problem(err)
	if problem.retry > 0 {
		c.w.Header().Set("Retry-After", fmt.Sprint(int64(problem.retry.Seconds())+1))
	}
	page.Sentence = problem.Detail
	c.visit.Refuse(c.denial(err, problem))
	return p.show(c, problem.Status, page)
}

func (p *pages) confirm(c *call) (string, error) {
	c.r.Body = http.MaxBytesReader(c.w, c.r.Body, maxForm)
	if err := c.r.ParseForm(); err != nil {
		return "", bad("the form cannot be read: open the page again and send it from there")
	}
	secret := c.r.PostForm.Get("token")
	if secret == "" {
		return "", bad("the token is missing: paste it into the field")
	}
	caller, err := p.identify(c, secret, c.visit.Remote)
	if err != nil {
		return "", err
	}
	c.visit.Identified(caller)
	if err := p.Pairing.Confirm(c.r.Context(), c.r.PathValue("code"), caller); err != nil {
		return "", err
	}
	return caller.User, nil
}

// identify finds the owner of a token as if a client had sent it.
func (p *pages) identify(c *call, secret string, remote netip.Addr) (policy.Subject, error) {
	probe := (&http.Request{Method: http.MethodPost, Header: http.Header{"Authorization": {"Bearer " + secret}}}).WithContext(c.r.Context())
	return p.Identifier.Identify(probe, remote)
}

func (p *pages) show(c *call, status int, v loginPage) error {
	return p.render(c, status, "login.html", v)
}

// render sends a page.
func (p *pages) render(c *call, status int, name string, v any) error {
	var html bytes.Buffer
	if err := p.templates.ExecuteTemplate(&html, name, v); err != nil {
		return fmt.Errorf("page %s: %w", name, err)
	}
	c.send(status, "text/html; charset=utf-8", html.Bytes())
	return nil
}
