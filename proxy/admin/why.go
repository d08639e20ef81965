package admin

import (
	"cmp"
	"net/http"
)

// whyPage is what the template shows.
type whyPage struct {
	Refusal
	Subject    string // what was refused
	StatusText string
	Open       bool // it has opened by itself
	Style      string
}

// serveWhy explains a decision to whoever holds its id: as a page, or to
// programs with the same facts as GET /api/v1/decisions/{id}.
func (p *pages) serveWhy(c *call) error {
	r, err := c.refusal()
	if err != nil {
		return err
	}
	if accepts(c.r, "application/json") && !accepts(c.r, "text/html") {
		return c.reply(r)
	}
	subject := cmp.Or(r.Package, "this request")
	if r.Package != "" && r.Version != "" {
		subject += " " + r.Version
	}
	return p.render(c, http.StatusOK, "why.html", whyPage{
		Refusal: r, Subject: subject, StatusText: http.StatusText(r.Status), Style: styleOf(c.r),
		Open: !r.Opens.IsZero() && !c.Clock().Before(r.Opens),
	})
}
