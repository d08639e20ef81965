package admin

import "net/http"

// frontPage is what people see who open the address of the server in a browser.
type frontPage struct {
	Registries []frontRegistry
	API        string // its URL
	Style      string
}

// frontRegistry is one registry as a client is pointed at it.
type frontRegistry struct {
	Name, Format, URL string
	Hosted            bool // packages can be published there
}

// serveFront tells the addresses of the registries, as the browser reached them.
func (p *pages) serveFront(c *call) error {
	page := frontPage{API: c.visit.Origin + "/api/v1/", Style: styleOf(c.r)}
	for _, r := range p.Registries {
		page.Registries = append(page.Registries, frontRegistry{
			Name: r.Mount.Name(), Format: r.Mount.Format().Name(), URL: r.url(c.visit.Origin), Hosted: r.Hosted,
		})
	}
	return p.render(c, http.StatusOK, "front.html", page)
}
