package admin

import (
	"fmt"
	"net/http"
	"net/netip"

	"larder/policy"
)

// loginPage is what the template shows.
type loginPage struct {
	Sentence string // what went wrong, "" at first
	Done     string // the user who is signed in now
	Waits    bool   // the login can still be confirmed
	// From is where it was begun, and You where the person is who confirms it:
	// that tells a login begun by somebody else.
	From, You netip.Addr
	Style     string
}

// maxForm bounds the login form, in bytes.
const maxForm = 16 << 10

// serveLogin shows the form, and binds whoever owns the token in it to the
// login that waits under the code of the path.
func (p *pages) serveLogin(c *call) error {
	read := c.r.Method != http.MethodPost
	from, err := p.Pairing.Waiting(c.r.Context(), c.r.PathValue("code"))
	page := loginPage{Waits: err == nil, From: from, You: c.visit.Remote, Style: styleOf(c.r)}
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
