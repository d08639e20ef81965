package proxy

import (
	"context"
	"net/netip"

	"larder/policy"
)

// Visit is what the edge knows of a request before any handler does.
type Visit struct {
	RequestID string
	Remote    netip.Addr // the client, past trusted proxies
	// Origin is the root URL as the client reached it (or the public URL),
	// without a final slash.
	Origin string

	x *exchange
}

// Identified tells the edge whom the handler found to be asking, for the log and
// the field X-OAuth-Scopes. It is called before the reply begins. A Visit
// without an edge takes it and does nothing.
func (v Visit) Identified(caller policy.Subject) {
	if v.x != nil {
		v.x.caller = caller
	}
}

// Audited is a context for what the caller changes, so that its records say who
// it was. It is called behind Identified.
func (v Visit) Audited(ctx context.Context) context.Context {
	if v.x == nil {
		return ctx
	}
	return v.x.audited(ctx)
}

// Refuse tells the edge of a refusal before the reply begins, which is recorded
// and named in the fields of the reply. What is hidden is told behind the reply,
// and has no name.
func (v Visit) Refuse(d Denial) {
	switch {
	case v.x == nil:
	case d.named():
		v.x.refused(d)
		v.x.name(d.Err, v.x.Header())
	case d.hidden():
		v.x.refused(d)
	}
}

type visitKey struct{}

// FromContext returns the visit that a handler of Options.Handlers answers.
func FromContext(ctx context.Context) (Visit, bool) {
	v, ok := ctx.Value(visitKey{}).(Visit)
	return v, ok
}

func (x *exchange) context() context.Context {
	v := Visit{RequestID: x.id, Remote: x.remote, Origin: x.origin(), x: x}
	return context.WithValue(x.r.Context(), visitKey{}, v)
}

// crossSite reports that a page of another site made a browser send a request
// that may change something. Browsers add credentials that they remember by
// themselves, Basic ones too; programs send none of the fields that tell.
func (x *exchange) crossSite() bool {
	asked := *x.r
	asked.Host = x.asked
	return x.edge.sites.Check(&asked) != nil
}
