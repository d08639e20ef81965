package registry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"larder/cache"
	"larder/formats"
	"larder/policy"
	"larder/policy/rules"
	"larder/proxy/registry"
	"larder/upstream/upstreamtest"
)

// dated is a format whose documents are "NAME: 1@2026-02-01 2@", versions with
// the days on which they were published, those unknown left out.
type dated struct{ plain }

func (*dated) Name() string { return "npm" } // one that package URLs have a type for

func (f *dated) document(pkg string) formats.Document {
	d := f.plain.document(pkg)
	d.Render = func(dst io.Writer, src io.Reader, v formats.View) error {
		all, err := io.ReadAll(src)
		if err != nil {
			return err
		}
		for item := range f.List(pkg, all) {
			if v.Keep == nil || v.Keep(item.Version) {
				fmt.Fprintf(dst, "%s ", item.Version)
			}
		}
		return nil
	}
	return d
}

func (f *dated) Listing(pkg string) formats.Document {
	d := f.plain.document(pkg)
	d.Variant, d.BaseFree, d.Age = "list", true, formats.Any
	d.Render = func(dst io.Writer, src io.Reader, _ formats.View) error {
		_, err := io.Copy(dst, src)
		return err
	}
	return d
}

func (*dated) List(pkg string, body []byte) iter.Seq[formats.Listed] {
	return func(yield func(formats.Listed) bool) {
		_, list, _ := strings.Cut(string(body), ": ")
		for item := range strings.FieldsSeq(list) {
			version, day, _ := strings.Cut(item, "@")
			at, err := time.Parse(time.DateOnly, day)
			if err != nil {
				at = time.Time{}
			}
			if !yield(formats.Listed{Version: version, File: pkg + "/" + version, Published: at}) {
				return
			}
		}
	}
}

func (*dated) Newest(versions []string) string {
	newest := ""
	for _, v := range versions {
		if byDigit(v, newest) > 0 {
			newest = v
		}
	}
	return newest
}

func byDigit(a, b string) int {
	return strings.Compare(a, b) // of one digit each
}

// guards is a bench with rules and an upstream of dated packages.
type guards struct {
	*bench
	dated *dated
	set   atomic.Pointer[rules.Set]
}

func newGuards(t *testing.T, settings ...setting) *guards {
	g := &guards{dated: &dated{}}
	g.bench = newBench(t, append([]setting{func(b *bench, o *registry.Options) {
		b.spec.Format, b.spec.Name = g.dated, "npm"
		o.Rules = g.set.Load
	}}, settings...)...)
	return g
}

func (g *guards) rules(waivers []rules.Waiver, list ...rules.Rule) {
	g.t.Helper()
	set, err := rules.New(list, waivers, func(string) func(a, b string) int { return byDigit })
	if err != nil {
		g.t.Fatal(err)
	}
	g.set.Store(set)
}

// file is a version's file, found by the index as a format finds it.
func (g *guards) file(pkg, version string) formats.File {
	return formats.File{Package: pkg, Name: pkg + "/" + version, Locate: func(ctx context.Context) (formats.Location, error) {
		text, _, err := doc(g.reader, g.dated.Listing(pkg))
		if err != nil {
			return formats.Location{}, err
		}
		for item := range g.dated.List(pkg, []byte(text)) {
			if item.Version == version {
				return formats.Location{Ref: item.File, Version: version, Published: item.Published}, nil
			}
		}
		return formats.Location{}, formats.Refuse(formats.ErrNoVersion, "no such version")
	}}
}

// sees insists on the versions that a document shows.
func (g *guards) sees(pkg, want string) *formats.Content {
	g.t.Helper()
	text, c, err := doc(g.reader, g.dated.document(pkg))
	if err != nil || strings.TrimSpace(text) != want {
		g.t.Fatalf("%s shows %q, %v; want %q", pkg, text, err, want)
	}
	return c
}

// refused insists on a refusal by a rule, in words that hold all of some.
func (g *guards) refused(err error, rule string, words ...string) policy.Decision {
	g.t.Helper()
	var r *policy.Refusal
	if !errors.As(err, &r) || r.Decision.Rule != rule || !errors.Is(err, policy.ErrDenied) {
		g.t.Fatalf("%v, want a refusal by the rule %s", err, rule)
	}
	for _, w := range words {
		if !strings.Contains(r.Decision.Reason, w) {
			g.t.Errorf("the reason %q does not hold %q", r.Decision.Reason, w)
		}
	}
	return r.Decision
}

// serve lets the upstream have a package and a file for each version.
func (g *guards) serve(pkg, versions string) {
	g.far.Serve("/"+pkg, answer(pkg+": "+versions, strconv.Quote(versions)))
	for item := range strings.FieldsSeq(versions) {
		v, _, _ := strings.Cut(item, "@")
		g.far.Serve("/"+pkg+"/"+v, upstreamtest.Answer{Body: []byte(pkg + " " + v)})
	}
}

func (g *guards) fetch(pkg, version string) error {
	_, _, err := g.get(g.file(pkg, version))
	return err
}

func cooldown() rules.Rule {
	return rules.Rule{ID: "cool", Kind: rules.Cooldown, MinAge: 7 * 24 * time.Hour}
}

// The clock of the bench stands at noon of 2026-03-01.
func TestCooldown(t *testing.T) {
	g := newGuards(t)
	g.serve("p", "1.0.0@2026-01-01 2.0.0@2026-02-27 3.0.0@")
	if err := g.fetch("p", "2.0.0"); err != nil {
		t.Fatal(err) // cached before there is a rule
	}
	g.stored(g.file("p", "2.0.0"))
	open := g.sees("p", "1.0.0 2.0.0 3.0.0")
	g.rules(nil, cooldown())
	c := g.sees("p", "1.0.0")
	if c.ETag == open.ETag || !strings.Contains(c.Notice, "p 3.0.0 has no known time") {
		t.Errorf("ETag %s before and %s after, notice %q", open.ETag, c.ETag, c.Notice)
	}
	if err := g.fetch("p", "1.0.0"); err != nil {
		t.Errorf("an old version: %v", err)
	}
	g.far.Forget()
	d := g.refused(g.fetch("p", "2.0.0"), "cool", "p 2.0.0 is 60 h old", "Newest allowed: 1.0.0")
	if want := time.Date(2026, 3, 6, 0, 0, 0, 0, time.UTC); !d.Opens.Equal(want) {
		t.Errorf("opens %s, want %s", d.Opens, want)
	}
	head := g.file("p", "3.0.0")
	head.Head = true
	_, err := g.reader.File(context.Background(), head)
	g.refused(err, "cool")
	g.refused(g.fetch("p", "3.0.0"), "cool", "first seen here")
	if log := g.far.Log(); len(log) != 0 {
		t.Errorf("the upstream was asked for what is refused: %v", log)
	}
	// It opens by itself, without a word from the upstream; without a date, a
	// week after it was first seen.
	g.clock.advance(5 * 24 * time.Hour)
	if later := g.sees("p", "1.0.0 2.0.0"); later.ETag == c.ETag {
		t.Error("another document has the same ETag")
	}
	if err := g.fetch("p", "2.0.0"); err != nil {
		t.Error(err)
	}
	g.clock.advance(2*24*time.Hour + time.Second)
	g.sees("p", "1.0.0 2.0.0 3.0.0")
	if err := g.fetch("p", "3.0.0"); err != nil {
		t.Error(err)
	}
}

// When a version without a date was first seen outlives all that is cached.
func TestFirstSeenIsKept(t *testing.T) {
	g := newGuards(t)
	g.rules(nil, cooldown())
	g.serve("p", "1.0.0@")
	_, _, err := doc(g.reader, g.dated.document("p"))
	g.refused(err, "cool", "all versions of p are younger than 7 d")
	g.serve("p", "1.0.0@ 2.0.0@")
	g.clock.advance(8 * 24 * time.Hour)
	g.sees("p", "1.0.0") // the second was not there a week ago
	if n := len(g.rows("s")); n < 3 {
		t.Errorf("%d rows", n)
	}
}

func TestDenyAndWaiver(t *testing.T) {
	g := newGuards(t)
	g.serve("p", "1.0.0@2026-01-01 2.0.0@2026-01-02")
	deny := rules.Rule{ID: "bad", Kind: rules.Deny, Match: []string{"pkg:npm/p@>=2.0.0"}, Reason: "steals tokens"}
	g.rules(nil, deny)
	g.sees("p", "1.0.0")
	g.refused(g.fetch("p", "2.0.0"), "bad", "steals tokens")
	g.rules([]rules.Waiver{{Rule: "bad", Match: []string{"pkg:npm/p@2.0.0"}, By: "ann", Why: "ours", Until: g.clock.now().Add(time.Hour)}}, deny)
	g.sees("p", "1.0.0 2.0.0")
	if err := g.fetch("p", "2.0.0"); err != nil {
		t.Error(err)
	}
	g.clock.advance(2 * time.Hour)
	g.sees("p", "1.0.0")
	g.refused(g.fetch("p", "2.0.0"), "bad")
	deny.Mode = "warn"
	g.rules(nil, deny)
	g.sees("p", "1.0.0 2.0.0")
	if err := g.fetch("p", "2.0.0"); err != nil || g.seen.warned.Load() == 0 {
		t.Errorf("in mode warn: %v, told %d times", err, g.seen.warned.Load())
	}
}

// A rule about bytes lets none of them go before it has seen all.
func TestDenyByDigest(t *testing.T) {
	g := newGuards(t)
	g.serve("p", "1.0.0@2026-01-01 2.0.0@2026-01-01")
	bad := cache.Digest(sumOf([]byte("p 2.0.0")).Value)
	g.rules(nil, rules.Rule{ID: "hash", Kind: rules.Deny, Match: []string{"pkg:npm/p?checksum=sha256:" + bad.String()}})
	for range 2 { // not held, and held
		g.refused(g.fetch("p", "2.0.0"), "hash")
		g.want(g.file("p", "1.0.0"), []byte("p 1.0.0"), formats.Hit)
	}
}

// Why says of every rule what it finds, and asks nobody.
func TestExplain(t *testing.T) {
	g := newGuards(t)
	g.serve("p", "1.0.0@2026-01-01 2.0.0@2026-02-27")
	g.rules(nil, cooldown(), rules.Rule{ID: "bad", Kind: rules.Deny, Match: []string{"pkg:npm/q@2.0.0"}})
	ctx := context.Background()
	e, err := g.reg.Explain(ctx, "p", "2.0.0")
	if err != nil || e.Held || e.Refused || len(g.far.Log()) != 0 {
		t.Errorf("before anything is held: %+v, %v, asked %v", e, err, g.far.Log())
	}
	if err := g.fetch("p", "1.0.0"); err != nil {
		t.Fatal(err)
	}
	g.far.Forget()
	e, err = g.reg.Explain(ctx, "p", "2.0.0")
	if err != nil || !e.Held || !e.Refused || e.Newest != "1.0.0" || !strings.Contains(e.Reason, "p 2.0.0 is 60 h old") || len(g.far.Log()) != 0 {
		t.Errorf("%+v, %v", e, err)
	}
	verdicts := map[string]rules.Verdict{}
	for _, f := range e.Findings {
		verdicts[f.Rule] = f.Verdict
	}
	if verdicts["cool"] != rules.Refuse || verdicts["bad"] != rules.Unconcerned || len(verdicts) != 5 {
		t.Errorf("%v", verdicts)
	}
	g.stored(g.file("p", "1.0.0"))
	if e, err = g.reg.Explain(ctx, "p", "1.0.0"); err != nil || e.Refused || e.Findings[len(e.Findings)-1].Verdict != rules.Pass {
		t.Errorf("%+v, %v: want the pin to hold", e, err)
	}
	if err := publish(g.as("alice", ""), "mine", "1.0.0", []byte("x")); err != nil {
		t.Fatal(err)
	}
	if e, err = g.reg.Explain(ctx, "mine", "1.0.0"); err != nil || !e.Held || e.Refused {
		t.Errorf("%+v, %v", e, err)
	}
	g.set.Store(nil)
	if e, err = g.reg.Explain(ctx, "p", "2.0.0"); err != nil || e.Refused || e.Findings != nil {
		t.Errorf("without rules: %+v, %v", e, err)
	}
}

// Rules about names and versions hold for what is published here, those about
// age do not.
func TestRulesOverHosted(t *testing.T) {
	g := newGuards(t)
	alice := g.as("alice", "")
	for _, v := range []string{"1.0.0", "2.0.0"} {
		if err := publish(alice, "mine", v, []byte(v)); err != nil {
			t.Fatal(err)
		}
	}
	g.rules(nil, cooldown(), rules.Rule{ID: "bad", Kind: rules.Deny, Match: []string{"pkg:npm/mine@2.0.0"}})
	text, _, err := doc(g.reader, g.dated.document("mine"))
	if err != nil || text != base+" hosted mine 1.0.0" {
		t.Errorf("%q, %v", text, err)
	}
	whole := g.dated.document("mine")
	whole.Whole = true
	if text, _, err = doc(g.reader, whole); err != nil || text != base+" hosted mine 1.0.0 2.0.0" {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := g.reader.File(context.Background(), hostedFile("mine", "1.0.0")); err != nil {
		t.Error(err)
	}
	_, err = g.reader.File(context.Background(), hostedFile("mine", "2.0.0"))
	g.refused(err, "bad")
}
