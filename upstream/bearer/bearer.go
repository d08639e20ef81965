// Package bearer signs in at container registries: where one answers with a
// Bearer challenge, it gets a token from the service that the challenge names,
// and shows that from then on.
//
// A token goes to the origin of the upstream and to nobody else. The configured
// credential goes to a token service of that origin, or of a host named in
// AllowHosts; any other service is asked as a guest, and only at a public address.
// What the upstream refuses all the same is told to clients as missing, and to the
// operator as an Alarm.
package bearer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"

	"larder/upstream"
)

// askTime bounds the request for one token.
const askTime = 30 * time.Second

// Client is what speaks to one upstream; *upstream.Client is the real one.
type Client interface {
	Fetch(ctx context.Context, req upstream.Request) (*upstream.Response, error)
	// Config returns the configuration with its defaults.
	Config() upstream.Config
	// Trusted reports whether the configured credential may go to an address.
	Trusted(address string) bool
}

// Options of a Fetcher.
type Options struct {
	Alarm func(Alarm)      // default: nobody is told
	Now   func() time.Time // the wall clock; default time.Now
}

// Fetcher fetches from one upstream, with tokens where it wants them. All
// methods may be called concurrently.
type Fetcher struct {
	client  Client
	options Options
	base    *url.URL
	id      string
	guest   bool // no credential is configured
	tokens  wallet
	flights singleflight.Group
	alarms  alarms
}

// New makes a Fetcher of a client. It asks for nothing yet.
func New(c Client, o Options) (*Fetcher, error) {
	cfg := c.Config()
	base, err := url.Parse(cfg.URL)
	if err != nil {
		// Not %w: the error repeats the address.
		return nil, fmt.Errorf("upstream %s: its url cannot be read", cfg.ID)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Alarm == nil {
		o.Alarm = func(Alarm) {}
	}
	return &Fetcher{
		client: c, options: o, base: base, id: cfg.ID, guest: cfg.Auth.Type == "",
		tokens: wallet{held: make(map[string]*token)}, alarms: alarms{told: make(map[string]time.Time)},
	}, nil
}

// Fetch asks the upstream as its client does, signed in where it asks for that.
// Errors are those of upstream.Client. A refusal that a fresh token does not
// change is upstream.ErrNotExist; a token service that fails is never that.
func (f *Fetcher) Fetch(ctx context.Context, req upstream.Request) (*upstream.Response, error) {
	if !f.own(req.Ref) || req.Header.Get("Authorization") != "" {
		return f.client.Fetch(ctx, req)
	}
	scope := scopeOf(req.Ref)
	held, refusal := f.ready(ctx, scope)
	if refusal != nil && !errors.Is(refusal, upstream.ErrNotExist) {
		return nil, refusal
	}
	resp, err := f.send(ctx, req, held)
	asked, ok := f.challenged(err, scope)
	switch {
	case !ok:
		return resp, f.judge(err, scope)
	case refusal != nil:
		return nil, refusal
	case !held.outdated(asked, f.options.Now()):
		return nil, f.judge(err, scope)
	}
	if held, err = f.renew(ctx, scope, asked, held); err != nil {
		return nil, err
	}
	resp, err = f.send(ctx, req, held)
	return resp, f.judge(err, scope)
}

// own reports whether a reference leads to the upstream's own origin: the only
// one that sees a token.
func (f *Fetcher) own(ref string) bool {
	scheme, _, ok := strings.Cut(ref, "://")
	if !ok || strings.ContainsAny(scheme, "/?#") {
		return true
	}
	u, err := url.Parse(ref)
	return err == nil && u.Scheme == f.base.Scheme && strings.EqualFold(u.Host, f.base.Host)
}

// ready returns a token for a scope where that is known to be needed: one that
// is held, or a new one. It is nil where the upstream has not asked for any.
func (f *Fetcher) ready(ctx context.Context, scope string) (*token, error) {
	held, where, known := f.tokens.get(scope)
	if held != nil && f.options.Now().Before(held.until) {
		return held, nil
	}
	if !known {
		return nil, nil
	}
	return f.renew(ctx, scope, where, held)
}

// send asks with a token, or without one where it is nil.
func (f *Fetcher) send(ctx context.Context, req upstream.Request, t *token) (*upstream.Response, error) {
	if t != nil {
		h := http.Header{}
		if req.Header != nil {
			h = req.Header.Clone()
		}
		h.Set("Authorization", "Bearer "+t.text)
		req.Header = h
	}
	resp, err := f.client.Fetch(ctx, req)
	if status, own := f.refused(err); status == http.StatusForbidden && !own {
		// The signature of a link may have run out on the way: the registry has another.
		resp, err = f.client.Fetch(ctx, req)
	}
	if t != nil && f.took(err) {
		t.worked.Store(true)
	}
	return resp, err
}

// refused returns the status of a refusal, 0 for none, and whether it was the
// registry itself that refused: not where a redirect led to.
func (f *Fetcher) refused(err error) (status int, own bool) {
	var e *upstream.Error
	if !errors.As(err, &e) || e.Status != http.StatusUnauthorized && e.Status != http.StatusForbidden {
		return 0, false
	}
	return e.Status, strings.EqualFold(e.Host, f.base.Host)
}

// took reports whether an answer shows that a token was good.
func (f *Fetcher) took(err error) bool {
	var e *upstream.Error
	if err == nil {
		return true
	}
	status, own := f.refused(err)
	return errors.As(err, &e) && e.Status != 0 && (status == 0 || !own)
}

// challenged returns the Bearer challenge of a refusal by the registry, for the
// scope that was expected where it names none.
func (f *Fetcher) challenged(err error, scope string) (challenge, bool) {
	status, own := f.refused(err)
	if status != http.StatusUnauthorized || !own {
		return challenge{}, false
	}
	var e *upstream.Error
	errors.As(err, &e) // it is one: it has a status
	c, ok := bearerOf(e.Challenge)
	if c.scope == "" {
		c.scope = scope
	}
	return c, ok
}

// judge words the end of a fetch: what the registry refuses is missing for our
// clients, who can do nothing about our credential.
func (f *Fetcher) judge(err error, scope string) error {
	status, own := f.refused(err)
	if status == 0 || !own {
		return err
	}
	reason := "it refuses what our credential gives: that may not read this, or is no good any more"
	if f.guest {
		reason = "it wants a credential for this, and none is configured; or it has no such thing"
	}
	return f.hide(err, scope, reason)
}

// hide tells the operator of a refusal, and makes it look like absence.
func (f *Fetcher) hide(err error, scope, reason string) error {
	var e *upstream.Error
	if !errors.As(err, &e) {
		return err
	}
	f.alarm(Alarm{Host: e.Host, Status: e.Status, Scope: scope, Reason: reason})
	return e.Missing()
}

// alarm tells the operator, unless that was done a short time ago.
func (f *Fetcher) alarm(a Alarm) {
	a.Upstream, a.Credential = f.id, !f.guest
	if f.alarms.due(a, f.options.Now()) {
		f.options.Alarm(a)
	}
}
