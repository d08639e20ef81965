package audit

import (
	"context"
	"net/netip"

	"larder/policy"
	"larder/policy/token"
)

// Origin is who asked, from where.
type Origin struct {
	RequestID string
	IP        netip.Addr
	UserAgent string
	Via       string // how the credential came
	Actor     Actor  // the zero value: nobody signed in
}

type originKey struct{}

// With puts the origin of a request into its context. It allocates: the edge
// calls it for what may change something or be refused, not for each hit.
func With(ctx context.Context, o Origin) context.Context {
	return context.WithValue(ctx, originKey{}, &o)
}

// From returns what With put there; ok is false for work that no request began.
func From(ctx context.Context) (o Origin, ok bool) {
	p, ok := ctx.Value(originKey{}).(*Origin)
	if !ok {
		return Origin{}, false
	}
	return *p, true
}

// complete fills in what a record does not say itself.
func (o Origin) complete(r *Record) {
	if r.RequestID == "" {
		r.RequestID = o.RequestID
	}
	if !r.IP.IsValid() {
		r.IP = o.IP
	}
	if r.UserAgent == "" {
		r.UserAgent = o.UserAgent
	}
	if r.Actor == (Actor{}) {
		r.Actor = o.Actor
	}
	if r.Actor.Via == "" {
		r.Actor.Via = o.Via
	}
	if r.Actor.Kind == "" && r.Actor.ID == "" {
		r.Actor.Kind = Anonymous
	}
}

// ActorOf describes who asks by a token.
func ActorOf(s policy.Subject) Actor {
	a := Actor{ID: s.User, Kind: User, TokenID: s.TokenID, TokenLast4: s.TokenLast4}
	switch {
	case s.Anonymous():
		a.Kind = Anonymous
	case s.TokenKind == string(token.Robot):
		a.Kind = Robot
	case s.TokenKind == string(token.Job):
		a.Kind = Job
	}
	return a
}
