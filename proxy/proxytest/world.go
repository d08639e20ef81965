// Package proxytest is a server in memory for the tests of what an edge answers:
// edge, engine, directory and accounts are the real ones, and only the store, the
// index and the clock belong to the test. A format's own world adds the registries
// and the wording of its protocol:
//
//	w := proxytest.New(t)
//	w.OpenDirectory(directory.Options{AnonymousRead: true})
//	w.OpenEngine(registry.Options{})
//	w.Edge = w.OpenEdge(proxy.Options{Mounts: []proxy.Mount{w.Engine.Registry(spec)}})
package proxytest

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"larder/cache"
	"larder/cache/clocktest"
	"larder/cache/memory"
	"larder/cache/refs"
	"larder/policy"
	"larder/policy/directory"
	"larder/proxy"
	"larder/proxy/accounts"
	"larder/proxy/registry"
	"larder/upstream"
)

// World is a server with people who use it. Store, Index and Clock may be replaced
// before the parts that use them are opened.
type World struct {
	T         testing.TB
	Store     cache.Store
	Index     cache.Index
	Locks     *refs.Locks      // for whoever deletes from Store
	Clock     *clocktest.Clock // moves a millisecond whenever it is read
	Directory *directory.Directory
	Accounts  *accounts.Accounts
	Engine    *registry.Engine
	Edge      http.Handler
	Admin     policy.Subject
	Tokens    map[string]string // by user; "" and unknown ones have none
}

// Here is where all clients are.
func Here() netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, 1}) }

// New makes what the parts of a server are opened over.
func New(t testing.TB) *World {
	return &World{
		T: t, Store: memory.NewStore(), Index: memory.NewIndex(), Locks: &refs.Locks{}, Clock: clocktest.New(time.Millisecond),
		Tokens: map[string]string{},
	}
}

// Must ends the test at an error.
func (w *World) Must(err error) {
	w.T.Helper()
	if err != nil {
		w.T.Fatal(err)
	}
}

// OpenDirectory opens the directory with its first administrator, admin. What opt
// leaves out is the world's; names without an owner go to admin/packages.
func (w *World) OpenDirectory(opt directory.Options) {
	w.T.Helper()
	opt.Clock, opt.DefaultRepository = w.Clock.Now, "admin/packages"
	var err error
	w.Directory, err = directory.Open(w.T.Context(), w.Index, opt)
	w.Must(err)
	file := filepath.Join(w.T.TempDir(), "admin.token")
	_, err = w.Directory.Bootstrap(w.T.Context(), file)
	w.Must(err)
	secret, err := os.ReadFile(file)
	w.Must(err)
	w.Accounts = accounts.New(w.Directory, w.Clock.Now)
	w.Tokens["admin"] = strings.TrimSpace(string(secret))
	w.Admin = w.Subject("admin")
}

// Populate makes the organization acme with the private repository acme/packages
// and the public acme/open, and four users: olga owns acme, rita may read
// acme/packages and wim write to it; bob stands outside.
func (w *World) Populate() {
	w.T.Helper()
	ctx := w.T.Context()
	w.Must(w.Directory.CreateUser(ctx, w.Admin, directory.Account{Name: "acme", Org: true}))
	for _, name := range []string{"olga", "rita", "wim", "bob"} {
		w.Must(w.Directory.CreateUser(ctx, w.Admin, directory.Account{Name: name, Email: name + "@mail.example"}))
		w.Tokens[name] = w.Token(name, policy.ReadPackages, policy.WritePackages, policy.DeletePackages)
	}
	w.Must(w.Directory.SetMember(ctx, w.Admin, "acme", "olga", directory.Owner))
	w.Must(w.Directory.CreateRepository(ctx, w.Admin, "acme/open", policy.Public))
	w.Must(w.Directory.Grant(ctx, w.Admin, "acme/packages", "rita", policy.RoleRead))
	w.Must(w.Directory.Grant(ctx, w.Admin, "acme/packages", "wim", policy.RoleWrite))
}

// Claim says which repository the names of a pattern belong to.
func (w *World) Claim(format, pattern, repository string) {
	w.T.Helper()
	_, err := w.Directory.AddClaim(w.T.Context(), w.Admin, policy.Claim{Formats: []string{format}, Match: []string{pattern}, Repository: repository})
	w.Must(err)
}

// Token makes another token of a user.
func (w *World) Token(user string, scopes ...policy.Scope) string {
	w.T.Helper()
	secret, _, err := w.Directory.MintToken(w.T.Context(), w.Admin, directory.Mint{User: user, Name: user, Scopes: scopes})
	w.Must(err)
	return secret.Reveal()
}

// Subject is a user as the edge knows him by his token.
func (w *World) Subject(user string) policy.Subject {
	w.T.Helper()
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer "+w.Tokens[user])
	s, err := w.Accounts.Identify(r, Here())
	w.Must(err)
	return s
}

// OpenEngine opens the engine until the test ends. What opt leaves out is the
// world's; its room has no end.
func (w *World) OpenEngine(opt registry.Options) {
	w.T.Helper()
	opt.Store, opt.Index, opt.Locks, opt.Room = w.Store, w.Index, w.Locks, endless{}
	opt.Access, opt.Clock = w.Directory, w.Clock.Now
	var err error
	w.Engine, err = registry.New(opt)
	w.Must(err)
	w.T.Cleanup(func() {
		if err := w.Engine.Close(); err != nil {
			w.T.Error(err)
		}
	})
}

// endless is room without an end, which forgets what was used.
type endless struct{}

func (endless) Reserve(context.Context, int64) error { return nil }
func (endless) Touch(cache.Digest)                   {}

// OpenEdge opens an edge for the people of the world, or for those whom opt
// identifies.
func (w *World) OpenEdge(opt proxy.Options) http.Handler {
	w.T.Helper()
	opt.Authorizer, opt.Accounts, opt.Log = w.Directory, w.Accounts, zerolog.Nop()
	if opt.Identifier == nil {
		opt.Identifier = w.Accounts
	}
	edge, err := proxy.New(opt)
	w.Must(err)
	return edge
}

// Source is an upstream at url, which is asked without a proxy and again without
// a pause.
func (w *World) Source(id, url string) func(context.Context) ([]registry.Source, error) {
	w.T.Helper()
	way := upstream.NewTransport(upstream.Options{
		Proxy: direct, Now: w.Clock.Now, Wait: func(ctx context.Context, _ time.Duration) error { return context.Cause(ctx) },
	})
	c, err := upstream.New(upstream.Config{ID: id, URL: url, Concurrency: 256}, way)
	w.Must(err)
	w.T.Cleanup(c.CloseIdle)
	return func(context.Context) ([]registry.Source, error) { return []registry.Source{{ID: id, Fetcher: c}}, nil }
}

func direct(*http.Request) (*url.URL, error) { return nil, nil }
