package registry_test

import (
	"context"
	"errors"
	"testing"

	"larder/cache"
	"larder/formats"
	"larder/policy"
)

// TestForget: an administrator of the instance drops what is held by name, and
// nobody else; what shares the bytes keeps them.
func TestForget(t *testing.T) {
	m := newMirror(t, false)
	one := push(m.far, "t", "one")
	m.points("t", one, formats.Miss)
	m.settled()
	data := []byte("one")
	m.fetches(blob("q", data, true), data)
	m.settled()
	m.far.Forget()
	file := formats.Forgotten{Package: "p", File: tagged(one).Name}
	for _, who := range []policy.Subject{{}, user("alice"), user("root")} {
		if err := m.mirrored.For(who, "", base).Forget(context.Background(), file); !errors.Is(err, policy.ErrDenied) && !errors.Is(err, policy.ErrUnauthenticated) {
			t.Errorf("%s: %v", who.User, err)
		}
	}
	m.points("t", one, formats.Hit)
	m.holds(one, "one")
	admin := user("op")
	admin.Admin = true
	op := m.mirrored.For(admin, "", base)
	forget := func(f formats.Forgotten) {
		t.Helper()
		if err := op.Forget(context.Background(), f); err != nil {
			t.Error(err)
		}
	}
	forget(formats.Forgotten{Package: "other", File: tagged(one).Name})
	forget(formats.Forgotten{Package: "p", File: "p/none", Pointer: "none"})
	m.holds(one, "one")
	m.asked()
	forget(formats.Forgotten{Package: "p", Pointer: "t"})
	m.holds(one, "one")
	m.points("t", one, formats.Miss)
	m.asked("HEAD /p/tags/t")
	forget(file)
	if keys := m.rows("fufar\x00p/"); len(keys) != 0 {
		t.Errorf("rows %q", keys)
	}
	m.fetches(blob("q", data, false), data)
	m.asked()
	forget(formats.Forgotten{Package: "q", File: blob("q", data, false).Name})
	if _, err := m.store.Stat(context.Background(), cache.Digest(sumOf(data).Value)); err != nil {
		t.Errorf("the sweep deletes bytes, and nobody else: %v", err)
	}
	m.points("t", one, formats.Hit) // it leads to what is fetched again
	m.fetches(tagged(one), data)
	m.asked("GET /p/" + one)
	// What is remembered as missing is forgotten too.
	m.fails("u", formats.ErrNotFound)
	push(m.far, "u", "one")
	forget(formats.Forgotten{Package: "p", Pointer: "u"})
	m.points("u", one, formats.Miss)
	if err := m.as("op", "").Forget(context.Background(), file); !errors.Is(err, formats.ErrUnsupported) {
		t.Errorf("on a registry with packages of its own: %v", err)
	}
}
