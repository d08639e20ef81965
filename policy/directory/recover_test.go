package directory

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"larder/cache"
	"larder/cache/memory"
	"larder/policy"
	"larder/policy/token"
)

func TestRecover(t *testing.T) {
	w := newWorld(t, Options{})
	must(t, w.CreateUser(t.Context(), w.admin, Account{Name: "eve", Admin: true}))
	_, secret := w.mint(w.admin, Mint{User: "eve", Scopes: policy.AllScopes()})
	must(t, w.Suspend(t.Context(), w.signIn(secret), FirstAdmin))
	w.refusedSignIn(w.token, "suspended")

	file := filepath.Join(t.TempDir(), "admin.token")
	made, err := w.Recover(t.Context(), ToFile(file))
	must(t, err)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info, err)
	}
	text, err := os.ReadFile(file)
	must(t, err)
	who := w.signIn(strings.TrimSuffix(string(text), "\n"))
	if who.User != FirstAdmin || who.TokenID != made.ID || policy.MustAdminister(who) != nil || !made.Expires.IsZero() {
		t.Errorf("the recovered token is that of %+v", who)
	}
	if old := w.signIn(w.token); old.User != FirstAdmin {
		t.Errorf("the token of before is that of %+v", old)
	}
}

func TestRecoverChangesNothingUndelivered(t *testing.T) {
	w := newWorld(t, Options{})
	full := errors.New("disk full")
	if _, err := w.Recover(t.Context(), func(token.Secret) error { return full }); !errors.Is(err, full) {
		t.Errorf("not delivered: %v", err)
	}
	list, err := w.Tokens(t.Context(), w.admin, FirstAdmin)
	if err != nil || len(list) != 1 {
		t.Errorf("%d tokens, %v", len(list), err)
	}
	empty, err := Open(t.Context(), memory.NewIndex(), Options{})
	must(t, err)
	_, err = empty.Recover(t.Context(), ToFile(filepath.Join(t.TempDir(), "x")))
	wantKind(t, "an instance that never started", err, cache.ErrNotExist)
}
