package registry_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
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
	got := m.points("t", one, formats.Miss)
	if w := got.Header.Get("Warning"); !strings.HasPrefix(w, `299 - "`) || !strings.Contains(w, "rule r") || got.Header.Get("X-Larder-Policy") != "r" || got.Size != 3 {
		t.Errorf("instead of what waits: %+v", got)
	}
	m.clock.advance(time.Hour)
	m.points("t", digestOf([]byte("two")), formats.Revalidated)
}

// TestPointerOfOlder: of all that a tag stood for the newest comes that the rules
// about age leave, and nothing that another rule refuses.
func TestPointerOfOlder(t *testing.T) {
	m := newMirror(t, false)
	name := func(i int) string { return fmt.Sprintf("version %d", i) }
	digest := func(i int) string { return digestOf([]byte(name(i))) }
	for i := range 40 { // one a day
		push(m.far, "t", name(i))
		m.points("t", digest(i), formats.Miss)
		m.clock.advance(24 * time.Hour)
	}
	served := func(minAge time.Duration, more ...rules.Rule) int {
		m.rules(append(more, rules.Rule{ID: "r", Kind: rules.Cooldown, MinAge: minAge})...)
		got, err := m.Resolve(context.Background(), tagOf("t"))
		if err != nil {
			return -1
		}
		for i := range 40 {
			if digest(i) == got.Version {
				return i
			}
		}
		t.Fatalf("%+v", got)
		return 0
	}
	if at := served(36 * time.Hour); at != 38 {
		t.Errorf("after a day and a half it is version %d", at)
	}
	week := served(7 * 24 * time.Hour)
	if week < 20 || week > 33 { // versions between are forgotten, in even steps
		t.Errorf("after a week it is version %d", week)
	}
	bad := rules.Rule{ID: "bad", Kind: rules.Deny, Match: []string{"pkg:oci/p@" + digest(week)}}
	if at := served(7*24*time.Hour, bad); at >= week {
		t.Errorf("a version that is denied, or younger: %d", at)
	}
	if at := served(1000*24*time.Hour, bad); at != -1 {
		t.Errorf("version %d is not old enough", at)
	}
	bad.Match = []string{"pkg:oci/p@" + digest(39)}
	if at := served(time.Hour, bad); at != -1 {
		t.Errorf("in the place of what is denied: version %d", at)
	}
	// What is no longer held does not come in its place.
	m.forgets(formats.Forgotten{Package: "p", File: tagged(digest(38)).Name})
	if at := served(36 * time.Hour); at == 38 || at == -1 {
		t.Errorf("it is version %d, which is not held", at)
	}
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
