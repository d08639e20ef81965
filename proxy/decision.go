package proxy

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"larder/formats"
	"larder/policy"
	"larder/policy/audit"
)

// denial is a failure as it is recorded.
func (x *exchange) denial(f *formats.Failure) Denial {
	d := Denial{Err: x.err, Status: f.Status, Sentence: f.Sentence, Action: x.req.Action}
	d.Resource = audit.Resource{Repository: x.home, Package: x.req.Package, Version: x.req.Version}
	if d.Resource.Repository == "" {
		d.Resource.Repository = x.repository
	}
	if x.format != nil {
		d.Resource.Format = x.format.Name()
	}
	if x.req.Package != "" && x.req.Version == "" {
		d.Resource.File = strings.Join(x.path, "/") // tells files of a package apart
	}
	return d
}

// decided records a refusal and names it, for the client to ask about.
func (x *exchange) decided(f *formats.Failure, h http.Header) {
	d := x.denial(f)
	if !d.named() {
		return
	}
	x.refused(d)
	if rule := x.name(f.Err, h); rule != "" {
		f.Sentence += ". Why or exempt: " + x.why()
	}
}

// why is the page that explains the refusal.
func (x *exchange) why() string { return x.origin() + "/ui/why/" + x.decision }

// name sets the fields that lead to what explains a refusal, and returns the
// rule that refused, "" for roles and scopes.
func (x *exchange) name(err error, h http.Header) string {
	h.Set("X-Larder-Decision", x.decision)
	h.Set("Link", "<"+x.why()+`>; rel="help"`)
	var refusal *policy.Refusal
	if !errors.As(err, &refusal) || refusal.Decision.Rule == "" {
		return ""
	}
	d := refusal.Decision
	h.Set("X-Larder-Policy", d.Rule)
	if !d.Opens.IsZero() {
		h.Set("X-Larder-Retry-At", d.Opens.UTC().Format(time.RFC3339))
	}
	return d.Rule
}

// origin is the root URL as the client reached it, or the public one.
func (x *exchange) origin() string {
	if x.edge.public != "" {
		return x.edge.public
	}
	return x.root
}
