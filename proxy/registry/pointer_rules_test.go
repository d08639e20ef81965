package registry_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"larder/cache"
	"larder/cache/refs"
	"larder/formats"
	"larder/policy"
	"larder/policy/rules"
	"larder/upstream/upstreamtest"
)

// TestPointerRules: a tag is judged by its own name and by what it stands for.
func TestPointerRules(t *testing.T) {
	one := digestOf([]byte("one"))
	for name, tt := range map[string]struct {
		rule  rules.Rule
		asked int // requests before the refusal
	}{
		"by name":   {rules.Rule{ID: "r", Kind: rules.Deny, Match: []string{"pkg:oci/p@t"}}, 0},
		"by digest": {rules.Rule{ID: "r", Kind: rules.Deny, Match: []string{"pkg:oci/p@" + one}}, 2},
		"whole":     {rules.Rule{ID: "r", Kind: rules.Deny, Match: []string{"pkg:oci/p"}}, 0},
		"cooldown":  {rules.Rule{ID: "r", Kind: rules.Cooldown, MinAge: time.Hour}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMirror(t, false)
			m.rules(tt.rule)
			push(m.far, "t", "one")
			m.fails("t", policy.ErrDenied)
			if n := len(m.far.Log()); n != tt.asked {
				t.Errorf("%d requests: %v", n, m.far.Log())
			}
			m.fails("t", policy.ErrDenied)
		})
	}
	m := newMirror(t, false)
	m.rules(rules.Rule{ID: "r", Kind: rules.Cooldown, MinAge: time.Hour})
	push(m.far, "t", "one")
	m.fails("t", policy.ErrDenied)
	m.clock.advance(time.Hour)
	m.points("t", one, formats.Revalidated)
	push(m.far, "t", "two") // a tag may be old, and what it stands for new
	m.clock.advance(time.Hour)
	m.fails("t", policy.ErrDenied)
}

// TestPointerRoom: pointers count as cached bytes, are evicted in their turn, and
// are settled when they move or go.
func TestPointerRoom(t *testing.T) {
	m := newMirror(t, false)
	usage := func() (u refs.Usage) {
		t.Helper()
		err := m.index.View(context.Background(), func(r cache.Reader) (err error) {
			u, err = refs.ReadUsage(r)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	one := push(m.far, "t", "one")
	m.points("t", one, formats.Miss)
	m.settled()
	if n := usage().CachedBlobs; n != 2 {
		t.Errorf("%d cached blobs: want the bytes and the pointer", n)
	}
	m.clock.advance(5*time.Minute + time.Millisecond) // a row of another length
	two := push(m.far, "t", "two and more")
	m.points("t", two, formats.Miss)
	m.settled()
	if n := usage().CachedBlobs; n != 3 {
		t.Errorf("%d cached blobs after a move", n)
	}
	touched := m.room.touched.Load()
	m.points("t", two, formats.Hit)
	if m.room.touched.Load() == touched {
		t.Error("a use was not noted")
	}
	inline := refs.InlineDigest([]byte(m.rows("y")[0]))
	err := m.index.Update(context.Background(), func(w cache.Writer) error {
		for c, err := range refs.Oldest(w, refs.Probation, nil) {
			if err != nil {
				return err
			}
			if c.Digest == inline {
				_, err := refs.Evict(w, c, m.clock.now())
				return err
			}
		}
		return errors.New("it is in no queue")
	})
	if err != nil || len(m.rows("y")) != 0 {
		t.Fatalf("evicted: %v, rows %q", err, m.rows("y"))
	}
	m.far.Forget()
	m.points("t", two, formats.Miss)
	m.asked("HEAD /p/tags/t")
	m.clock.advance(5 * time.Minute)
	m.far.Serve("/p/tags/t", upstreamtest.Answer{Status: 404})
	m.fails("t", formats.ErrNotFound)
	if n := usage().CachedBlobs; n != 2 {
		t.Errorf("%d cached blobs after it went", n)
	}
}
