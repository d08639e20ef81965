package admin

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"larder/formats"
	"larder/policy"
)

//go:embed *.html style.css
var pageFiles embed.FS

// page is one page of /ui.
type page struct {
	method  string
	pattern string // of http.ServeMux, without method and host
	// action is what it takes; policy.Open is for everybody. Pages take no
	// credential: a browser would send that of a proxy in front.
	action policy.Action
	serve  func(*pages, *call) error
}

// pageRoutes is every page. What changes something is a POST, which the edge
// refuses from other sites.
func pageRoutes() []page {
	return []page{
		{"GET", "/ui", policy.Open, (*pages).serveFront}, // a redirect would have to know the path that a proxy took away
		{"GET", "/ui/{$}", policy.Open, (*pages).serveFront},
		{"GET", "/ui/style.css", policy.Open, (*pages).serveStyle},
		{"GET", "/ui/login/{code}", policy.Open, (*pages).serveLogin},
		{"POST", "/ui/login/{code}", policy.Open, (*pages).serveLogin},
		{"GET", "/ui/why/{id}", policy.Open, (*pages).serveWhy},
	}
}

// pages are the HTML pages below /ui/.
type pages struct {
	*api
	templates *template.Template // by file name
}

// newPages returns the handler of the pages of a table.
func newPages(a *api, table []page) http.Handler {
	p := &pages{api: a, templates: template.Must(template.ParseFS(pageFiles, "*.html"))}
	byPattern := map[string][]page{}
	for _, row := range table {
		byPattern[row.pattern] = append(byPattern[row.pattern], row)
	}
	mux := http.NewServeMux()
	for pattern, rows := range byPattern {
		mux.Handle(pattern, p.handle(func(c *call) error { return p.dispatch(c, rows) }))
	}
	mux.Handle("/", p.handle(func(*call) error {
		return formats.Refuse(formats.ErrNotFound, "there is no such page: the pages are at /ui/, /ui/login/<code> and /ui/why/<decision>, the API at /api/v1")
	}))
	return mux
}

// contentPolicy lets nothing run and nothing be loaded but from here.
const contentPolicy = "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// handle makes a handler with the headers of a page. Failures are pages for
// browsers, and problems for others.
func (p *pages) handle(fn func(*call) error) http.Handler {
	return p.api.handle(func(c *call) (any, error) {
		h := c.w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Vary", "Accept")
		err := fn(c)
		if err == nil || !accepts(c.r, "text/html") {
			return handled{}, err
		}
		problem := c.refused(err)
		return handled{}, c.refuse(err, problem, func() error { return p.render(c, problem.Status, "error.html", errorPage{problem, styleOf(c.r)}) })
	})
}

// errorPage is what the template shows.
type errorPage struct {
	Problem
	Style string
}

func (p *pages) dispatch(c *call, rows []page) error {
	var allow []string
	for _, row := range rows {
		allow = append(allow, row.method)
		if row.method == http.MethodGet {
			allow = append(allow, http.MethodHead)
		}
	}
	at := slices.IndexFunc(rows, func(row page) bool {
		return row.method == c.r.Method || row.method == http.MethodGet && c.r.Method == http.MethodHead
	})
	if at < 0 {
		return &formats.MethodError{Allow: allow}
	}
	c.row.method, c.row.pattern, c.row.action = rows[at].method, rows[at].pattern, rows[at].action
	if err := c.gate(c.row.action); err != nil {
		return err
	}
	return rows[at].serve(p, c)
}

// handled is the answer of a page that has written its own.
type handled struct{}

func (handled) replies() []reply { return nil }

func (handled) send(*call) error { return nil }

// accepts reports whether a request names a media type as one that it takes.
func accepts(r *http.Request, mediaType string) bool {
	for _, line := range r.Header["Accept"] {
		for item := range strings.SplitSeq(line, ",") {
			name, _, _ := strings.Cut(item, ";")
			if strings.EqualFold(strings.TrimSpace(name), mediaType) {
				return true
			}
		}
	}
	return false
}

// styleOf is the way from a page to the style sheet, which holds whatever path a
// proxy in front has taken away.
func styleOf(r *http.Request) string {
	depth := strings.Count(r.URL.Path, "/")
	if depth == 1 {
		return "ui/style.css"
	}
	return strings.Repeat("../", depth-2) + "style.css"
}

func (p *pages) serveStyle(c *call) error {
	text, err := pageFiles.ReadFile("style.css")
	if err != nil {
		return fmt.Errorf("style sheet: %w", err)
	}
	c.send(http.StatusOK, "text/css; charset=utf-8", text)
	return nil
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
