package registry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"larder/cache"
	"larder/formats"
	"larder/formats/formattest"
	"larder/policy"
	"larder/policy/rules"
	"larder/proxy/registry"
)

// clock stands still until it is moved.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// room lets everything in until it is told that it is full.
type room struct {
	full    atomic.Bool
	touched atomic.Int64
}

func (r *room) Reserve(context.Context, int64) error {
	if r.full.Load() {
		return fmt.Errorf("no room: %w", cache.ErrFull)
	}
	return nil
}

func (r *room) Touch(cache.Digest) { r.touched.Add(1) }

// observer counts.
type observer struct {
	integrity, shared, warned, claimed atomic.Int64

	foreseen chan registry.Foreseen // nil: nobody waits for it
}

func (o *observer) Foreseen(_, _, _ string, got registry.Foreseen) {
	if o.foreseen != nil {
		o.foreseen <- got
	}
}

func (o *observer) Integrity(string, string, string, error) { o.integrity.Add(1) }
func (o *observer) Shared(string)                           { o.shared.Add(1) }
func (o *observer) Claimed(string, string, string)          { o.claimed.Add(1) }
func (o *observer) Warned(string, string, rules.Finding)    { o.warned.Add(1) }

// access decides by the real rules, over repositories and claims that a test sets.
type access struct {
	generation atomic.Uint64
	down       atomic.Bool

	mu           sync.Mutex
	repositories map[string]policy.Visibility
	claims       map[string]string // exact name to repository
	writers      map[string]string // user to the one repository they may write
	own          map[string]string // grants of one package: id to its admin
	detached     int
}

func (a *access) Admit(cache.Reader, policy.Subject, string, policy.Visibility) error { return nil }

func (a *access) Detach(_ context.Context, _ cache.Writer, actor policy.Subject, _ policy.Resource) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.detached++
	id := fmt.Sprint("own", a.detached)
	a.own[id] = actor.User
	return id, nil
}

func (a *access) Immutable(context.Context, string, string) (bool, error) { return false, nil }

func (a *access) SparseIndexes(context.Context, string) (bool, error) { return false, nil }

func (a *access) Attach(_ cache.Writer, id string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.own, id)
	return nil
}

func newAccess() *access {
	return &access{
		repositories: map[string]policy.Visibility{"acme/packages": policy.Public, "acme/secret": policy.Private, "other/packages": policy.Public},
		claims:       map[string]string{}, writers: map[string]string{"alice": "acme/packages", "sam": "acme/secret", "bob": "other/packages"},
		own: map[string]string{},
	}
}

func (a *access) claim(name, repository string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.claims[name] = repository
	a.generation.Add(1)
}

func (a *access) Authorize(_ context.Context, s policy.Subject, act policy.Action, res policy.Resource) policy.Decision {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.down.Load() {
		return policy.Decision{Verdict: policy.Deny, Reason: "the rules cannot be read"}
	}
	in := policy.Input{Subject: s, Action: act, Resource: res, AnonymousRead: true}
	if role := a.role(s.User, res); role > policy.RoleNone {
		in.Standing = policy.Standing{Role: role, Member: true}
	}
	return policy.Decide(in)
}

// Lives knows of no tokens, which nobody can revoke then.
func (a *access) Lives(context.Context, policy.Subject) error { return nil }

func (a *access) Role(_ context.Context, user string, res policy.Resource) (policy.Role, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.role(user, res), nil
}

// role: the caller holds the lock.
func (a *access) role(user string, res policy.Resource) policy.Role {
	may := res.Repository != "" && a.writers[user] == res.Repository
	if res.Access != "" {
		may = a.own[res.Access] == user
	}
	if may || user == "root" {
		return policy.RoleAdmin
	}
	return policy.RoleNone
}

func (a *access) Claim(_, name string) (id, repository string, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	repository, ok = a.claims[name]
	return "claim-" + name, repository, ok
}

func (a *access) Home(_ context.Context, _, _, owner string) (string, error) {
	if owner != "" {
		if _, err := a.Visibility(context.Background(), owner+"/packages"); err == nil {
			return owner + "/packages", nil
		}
	}
	return "acme/packages", nil
}

func (a *access) Visibility(_ context.Context, repository string) (policy.Visibility, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	v, ok := a.repositories[repository]
	if !ok {
		return "", cache.ErrNotExist
	}
	return v, nil
}

func (a *access) Generation() uint64 { return a.generation.Load() }

// user is a caller with all scopes.
func user(name string) policy.Subject {
	return policy.Subject{User: name, TokenID: "t", Scopes: policy.AllScopes()}
}

// plain is formattest.Plain with documents, owners in names and a probe.
type plain struct {
	formattest.Plain
	renders, builds atomic.Int64
}

func (*plain) Owner(pkg string) string {
	scope, _, ok := strings.Cut(strings.TrimPrefix(pkg, "@"), "/")
	if !ok || !strings.HasPrefix(pkg, "@") {
		return ""
	}
	return scope
}

func (p *plain) Probe(pkg string) formats.Document { return p.document(pkg) }

var errBad = errors.New("it does not begin with its name")

// document is "NAME: text" upstream and "BASE NAME: text" here.
func (p *plain) document(pkg string) formats.Document {
	return formats.Document{
		Package: pkg, Name: pkg, Variant: "whole", MediaType: "text/plain", Path: pkg,
		Check: func(src io.Reader) error {
			all, err := io.ReadAll(src)
			if err == nil && !strings.HasPrefix(string(all), pkg+":") {
				return formats.Refuse(formats.ErrBadRequest, errBad.Error())
			}
			return err
		},
		Render: func(dst io.Writer, src io.Reader, v formats.View) error {
			p.renders.Add(1)
			all, err := io.ReadAll(src)
			if err != nil {
				return errors.New("a format that hides causes")
			}
			_, err = io.WriteString(dst, v.Base+" "+string(all))
			return err
		},
		Build: func(dst io.Writer, pkg *formats.Package, releases iter.Seq2[*formats.Release, error], v formats.View) error {
			p.builds.Add(1)
			fmt.Fprintf(dst, "%s hosted %s", v.Base, pkg.Name)
			for r, err := range releases {
				if err != nil {
					return err
				}
				fmt.Fprintf(dst, " %s", r.Version)
			}
			return nil
		},
	}
}

func (*plain) refuseVersion(io.Writer, io.Reader, formats.View) error {
	return formats.Refuse(formats.ErrNoVersion, "version not found: 9")
}

// noteFirst renders and remembers what it was told of the first fetch.
func (*plain) noteFirst(at *[]time.Time) func(io.Writer, io.Reader, formats.View) error {
	return func(dst io.Writer, src io.Reader, v formats.View) error {
		*at = append(*at, v.FirstSeen)
		_, err := io.Copy(dst, src)
		return err
	}
}
