package directory

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"larder/cache"
	"larder/cache/clocktest"
	"larder/cache/memory"
	"larder/policy"
	"larder/policy/token"
)

// world is a directory with its clock and its first administrator.
type world struct {
	*Directory
	t     *testing.T
	index *faulty
	clock *clocktest.Clock
	admin policy.Subject
	token string // of the administrator
}

// faulty is an Index that can be made to fail, and counts transactions.
type faulty struct {
	cache.Index
	mu             sync.Mutex
	err            error
	views, updates int
}

func (f *faulty) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *faulty) View(ctx context.Context, fn func(cache.Reader) error) error {
	f.mu.Lock()
	f.views++
	err := f.err
	f.mu.Unlock()
	if err != nil {
		return err
	}
	return f.Index.View(ctx, fn)
}

func (f *faulty) Update(ctx context.Context, fn func(cache.Writer) error) error {
	f.mu.Lock()
	f.updates++
	err := f.err
	f.mu.Unlock()
	if err != nil {
		return err
	}
	return f.Index.Update(ctx, fn)
}

var here = netip.MustParseAddr("192.0.2.1")

func newWorld(t *testing.T, opt Options) *world {
	t.Helper()
	w := &world{t: t, index: &faulty{Index: memory.NewIndex()}, clock: clocktest.New(0)}
	opt.Clock, opt.AnonymousRead = w.clock.Now, true
	d, err := Open(t.Context(), w.index, opt)
	must(t, err)
	w.Directory = d
	file := filepath.Join(t.TempDir(), "admin.token")
	created, err := d.Bootstrap(t.Context(), file)
	must(t, err)
	if !created {
		t.Fatal("nothing was made")
	}
	text, err := os.ReadFile(file)
	must(t, err)
	w.token = strings.TrimSuffix(string(text), "\n")
	w.admin = w.signIn(w.token)
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantKind fails unless err is of the kind and says something.
func wantKind(t *testing.T, what string, err, kind error) {
	t.Helper()
	if !errors.Is(err, kind) || err.Error() == "" {
		t.Errorf("%s: %v, want %v", what, err, kind)
	}
}

func (w *world) signIn(secret string) policy.Subject {
	w.t.Helper()
	s, err := w.Authenticate(w.t.Context(), secret, here)
	must(w.t, err)
	return s
}

// user makes a user and signs in with a token of all scopes.
func (w *world) user(name string) policy.Subject {
	w.t.Helper()
	must(w.t, w.CreateUser(w.t.Context(), w.admin, Account{Name: name}))
	_, secret := w.mint(w.admin, Mint{User: name, Scopes: policy.AllScopes()})
	return w.signIn(secret)
}

func (w *world) org(name string) {
	w.t.Helper()
	must(w.t, w.CreateUser(w.t.Context(), w.admin, Account{Name: name, Org: true}))
}

func (w *world) mint(actor policy.Subject, m Mint) (Token, string) {
	w.t.Helper()
	secret, made, err := w.MintToken(w.t.Context(), actor, m)
	must(w.t, err)
	return made, secret.Reveal()
}

func (w *world) decide(s policy.Subject, a policy.Action, repository string, v policy.Visibility) policy.Verdict {
	return w.Authorize(w.t.Context(), s, a, policy.Resource{Format: "npm", Package: "one", Repository: repository, Visibility: v, Hosted: true}).Verdict
}

func (w *world) refusedSignIn(secret, word string) {
	w.t.Helper()
	_, err := w.Authenticate(w.t.Context(), secret, here)
	if !errors.Is(err, policy.ErrUnauthenticated) || !strings.Contains(err.Error(), word) {
		w.t.Errorf("sign-in gave %v, want a refusal with %q", err, word)
	}
}

func parse(t *testing.T, s string) token.Secret {
	t.Helper()
	secret, err := token.Parse(s)
	must(t, err)
	return secret
}
