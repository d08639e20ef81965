package registry_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"larder/formats"
	"larder/policy"
	"larder/proxy/registry"
	"larder/upstream"
	"larder/upstream/upstreamtest"
)

type registryOptions = registry.Options

// TestClaims: what is claimed, or bears the name of an owner who is here, is
// never told to an upstream.
func TestClaims(t *testing.T) {
	b := newBench(t)
	b.access.claim("claimed", "acme/packages")
	b.access.claim("hidden", "acme/secret")
	b.access.claim("early", "acme/not-yet")
	for _, name := range []string{"claimed", "hidden", "early", "@acme/p", "@other/p"} {
		b.far.Serve("/"+name, answer(name+": evil", `"1"`))
		b.far.Serve("/"+name+"/1", upstreamtest.Answer{Body: []byte("evil")})
		b.silent(name)
	}
	ours, err := b.reader.Ours(context.Background(), []string{"claimed", "hidden", "@acme/p", "p", "@nobody/p"})
	if err != nil || !slices.Equal(ours, []bool{true, true, true, false, false}) {
		t.Errorf("ours: %v, %v", ours, err)
	}
	// A claim that comes later ends what an upstream has given.
	b.far.Serve("/p", answer("p: one", `"1"`))
	b.sees("p: one", formats.Miss)
	b.access.claim("p", "acme/packages")
	b.silent("p")
}

// TestPrivateLooksMissing: to those who may not read it.
func TestPrivateLooksMissing(t *testing.T) {
	b := newBench(t)
	b.access.claim("hidden", "acme/secret")
	b.access.claim("missing", "acme/secret")
	sam := b.as("sam", "")
	if err := publish(sam, "hidden", "1", []byte("one")); err != nil {
		t.Fatal(err)
	}
	if c, err := sam.File(context.Background(), hostedFile("hidden", "1")); err != nil || !c.Private {
		t.Errorf("%+v, %v", c, err)
	}
	if _, c, err := doc(sam, b.format.document("hidden")); err != nil || !c.Private {
		t.Errorf("%+v, %v", c, err)
	}
	for who, want := range map[string]error{"": policy.ErrUnauthenticated, "bob": policy.ErrHidden} {
		r := b.as(who, "")
		if who == "" {
			r = b.reader
		}
		var words []string
		for _, name := range []string{"hidden", "missing"} {
			_, docErr := r.Document(context.Background(), b.format.document(name))
			_, fileErr := r.File(context.Background(), hostedFile(name, "1"))
			_, pkgErr := r.Package(context.Background(), name)
			for _, err := range []error{docErr, fileErr, pkgErr} {
				if !errors.Is(err, want) {
					t.Errorf("%q reads %s: %v", who, name, err)
				}
				words = append(words, err.Error())
			}
			for _, err := range r.Releases(context.Background(), name) {
				if !errors.Is(err, want) {
					t.Errorf("%q lists %s: %v", who, name, err)
				}
			}
			if err := publish(b.as("bob", ""), name, "2", nil); !errors.Is(err, policy.ErrDenied) {
				t.Errorf("bob publishes %s: %v", name, err)
			}
		}
		if !slices.Equal(words[:3], words[3:]) {
			t.Errorf("what is hidden and what is missing differ: %q", words)
		}
	}
	if len(b.far.Log()) != 0 {
		t.Errorf("the upstream heard of it: %v", b.far.Log())
	}
}

// TestFailClosed: while policy cannot decide, nothing is shown or asked.
func TestFailClosed(t *testing.T) {
	b := newBench(t)
	b.access.down.Store(true)
	for _, err := range []error{
		func() error { _, err := b.reader.Document(context.Background(), b.format.document("p")); return err }(),
		func() error { _, err := b.reader.File(context.Background(), file("f")); return err }(),
		func() error {
			_, err := b.reader.Forward(context.Background(), formats.Forward{Path: "search"})
			return err
		}(),
		publish(b.as("alice", ""), "p", "1", nil),
	} {
		if !errors.Is(err, policy.ErrDenied) {
			t.Errorf("error %v", err)
		}
	}
	if len(b.far.Log()) != 0 || b.blobs() != 0 {
		t.Errorf("log %v", b.far.Log())
	}
}

// TestOrigin: a name belongs to whoever had it first.
func TestOrigin(t *testing.T) {
	b := newBench(t)
	alice := b.as("alice", "")
	b.far.Serve("/taken", answer("taken: one", `"1"`))
	if err := publish(alice, "taken", "1", nil); !errors.Is(err, policy.ErrDenied) {
		t.Errorf("an upstream's name: %v", err)
	}
	b.far.Serve("/unknown", upstreamtest.Answer{Status: 503})
	if err := publish(alice, "unknown", "1", nil); !errors.Is(err, upstream.ErrUnavailable) {
		t.Errorf("while the upstream is down: %v", err)
	}
	b.far.Serve("/taken", upstreamtest.Answer{Status: 404})
	b.clock.advance(10 * 24 * time.Hour)
	for _, repository := range []string{"", "acme/packages"} {
		if err := publish(b.as("alice", repository), "taken", "1", nil); !errors.Is(err, policy.ErrDenied) {
			t.Errorf("%q: a name that came from there once: %v", repository, err)
		}
	}
	if err := retract(alice, "taken", "1"); err == nil {
		t.Error("an upstream's version was retracted")
	}
	b.access.claim("taken", "acme/packages")
	if err := publish(alice, "taken", "1", []byte("x")); err != nil {
		t.Errorf("after the claim: %v", err)
	}
	b.far.Serve("/taken", answer("taken: two", `"2"`))
	b.shows(b.reader, "taken", "1")
}

// TestOriginAtARepositoryURL: nobody has told the upstream that name, and a
// publish does not either.
func TestOriginAtARepositoryURL(t *testing.T) {
	b := newBench(t)
	if err := publish(b.as("alice", "acme/packages"), "inner", "1", []byte("x")); err != nil {
		t.Error(err)
	}
	if log := b.far.Log(); len(log) != 0 {
		t.Errorf("the upstream heard of it: %v", log)
	}
}

// TestRepositoryURL shows the hosted packages of one repository alone.
func TestRepositoryURL(t *testing.T) {
	b := newBench(t)
	for name, pkg := range map[string]string{"alice": "of-alice", "bob": "of-bob"} {
		home := map[string]string{"alice": "acme/packages", "bob": "other/packages"}[name]
		if err := publish(b.as(name, home), pkg, "1", []byte(name)); err != nil {
			t.Fatal(err)
		}
	}
	b.far.Forget()
	b.far.Serve("/p", answer("p: one", `"1"`))
	acme := b.reg.For(policy.Subject{}, "acme/packages", base)
	b.shows(acme, "of-alice", "1")
	for _, name := range []string{"of-bob", "p", "missing"} {
		if _, _, err := doc(acme, b.format.document(name)); !errors.Is(err, formats.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := acme.File(context.Background(), hostedFileAt(name, "1")); !errors.Is(err, formats.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if names := listed(t, acme); !slices.Equal(names, []string{"of-alice"}) {
		t.Errorf("listed %q", names)
	}
	if names := listed(t, b.reader); !slices.Equal(names, []string{"of-alice", "of-bob"}) {
		t.Errorf("listed %q", names)
	}
	if len(b.far.Log()) != 0 {
		t.Errorf("the upstream was asked: %v", b.far.Log())
	}
	// A name cannot be taken over by another URL.
	bob := b.as("bob", "other/packages")
	if err := publish(bob, "of-alice", "2", nil); !errors.Is(err, policy.ErrDenied) {
		t.Errorf("bob publishes a name of alice's: %v", err)
	}
	if err := retract(bob, "of-alice", "1"); !errors.Is(err, formats.ErrNotFound) {
		t.Errorf("bob retracts at his URL what is alice's: %v", err)
	}
	b.shows(b.reader, "of-alice", "1")
}

// TestClaimedNameAtAnotherURL: the URL of a repository does not get round the
// claim of another owner, but chooses among the repositories of the same.
func TestClaimedNameAtAnotherURL(t *testing.T) {
	b := newBench(t)
	b.access.claim("claimed", "acme/packages")
	for _, name := range []string{"claimed", "@acme/p"} {
		if err := publish(b.as("bob", "other/packages"), name, "1", nil); !errors.Is(err, policy.ErrDenied) {
			t.Errorf("bob publishes %s at his URL: %v", name, err)
		}
		if err := publish(b.as("sam", "acme/secret"), name, "1", []byte(name)); err != nil {
			t.Errorf("the owner's other repository refuses %s: %v", name, err)
		}
	}
}

// TestRaceForAName: of two first publishes by different URLs one wins, and the
// other does not end in a repository that its publisher may not write.
func TestRaceForAName(t *testing.T) {
	for range 20 {
		b := newBench(t)
		var wg sync.WaitGroup
		results := make([]error, 2)
		for i, who := range []string{"alice", "bob"} {
			wg.Go(func() {
				home := map[string]string{"alice": "acme/packages", "bob": "other/packages"}[who]
				results[i] = publish(b.as(who, home), "p", who, []byte(who))
			})
		}
		wg.Wait()
		p, err := b.reader.Package(context.Background(), "p")
		if err != nil {
			t.Fatal(err)
		}
		winner, loser := 0, 1
		if p.Repository == "other/packages" {
			winner, loser = 1, 0
		}
		if results[winner] != nil || !errors.Is(results[loser], formats.ErrConflict) && !errors.Is(results[loser], policy.ErrDenied) {
			t.Fatalf("%s: %v", p.Repository, results)
		}
		b.shows(b.reader, "p", []string{"alice", "bob"}[winner])
	}
}

func listed(t *testing.T, r formats.Registry) []string {
	var names []string
	for p, err := range r.Packages(context.Background(), "") {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, p.Name)
	}
	return names
}

// TestPackages lists what the caller may read, from wherever it goes on.
func TestPackages(t *testing.T) {
	b := newBench(t)
	b.access.claim("m-hidden", "acme/secret")
	for _, name := range []string{"a", "ab", "b", "z"} {
		if err := publish(b.as("alice", ""), name, "1", []byte(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := publish(b.as("sam", ""), "m-hidden", "1", []byte("m")); err != nil {
		t.Fatal(err)
	}
	if names := listed(t, b.reader); !slices.Equal(names, []string{"a", "ab", "b", "z"}) {
		t.Errorf("listed %q", names)
	}
	if names := listed(t, b.as("sam", "")); !slices.Equal(names, []string{"a", "ab", "b", "m-hidden", "z"}) {
		t.Errorf("listed %q", names)
	}
	for p, err := range b.reader.Packages(context.Background(), "ab") {
		if err != nil || p.Name != "b" {
			t.Errorf("after ab: %v, %v", p, err)
		}
		break
	}
}

func TestMirrorTakesNothing(t *testing.T) {
	b := newBench(t, func(b *bench, _ *registryOptions) { b.spec.Hosted = false })
	if err := publish(b.as("alice", ""), "p", "1", nil); !errors.Is(err, formats.ErrUnsupported) {
		t.Errorf("upload: %v", err)
	}
	c := formats.Change{Package: "p", Action: policy.Publish, Create: true}
	if err := b.as("alice", "").Change(context.Background(), c, func(formats.Tx) error { return nil }); !errors.Is(err, formats.ErrUnsupported) {
		t.Errorf("change: %v", err)
	}
}

// TestSeveralUpstreams: the first that has a name owns it, documents and files.
func TestSeveralUpstreams(t *testing.T) {
	var second *upstreamtest.Server
	b := newBench(t, func(b *bench, _ *registryOptions) {
		second = upstreamtest.New(b.t)
		b.spec.Upstreams = b.only(b.source("far", b.far), b.source("second", second))
	})
	second.Serve("/p", answer("p: second", `"1"`))
	second.Serve("/f", upstreamtest.Answer{Body: []byte("of the second")})
	b.far.Serve("/f", upstreamtest.Answer{Body: []byte("of the first")})
	// Also when the file is asked for before any document.
	b.want(file("f"), []byte("of the second"), formats.Miss)
	if n := b.far.Requests("/f"); n != 0 {
		t.Error("a file was asked of an upstream that does not have the package")
	}
	b.far.Serve("/p", answer("p: first", `"1"`))
	b.clock.advance(3 * time.Hour)
	b.sees("p: second", formats.Revalidated) // the name does not jump
	if got := b.far.Requests("/p"); got != 1 {
		t.Errorf("%d requests", got)
	}
	b.far.Serve("/q", upstreamtest.Answer{Status: 500})
	second.Serve("/q", answer("q: evil", `"1"`))
	if _, _, err := doc(b.reader, b.format.document("q")); !errors.Is(err, upstream.ErrUnavailable) {
		t.Errorf("an upstream that fails hides those behind it: %v", err)
	}
}

// TestForward keeps answers for a while, and serves them when all else fails.
func TestForward(t *testing.T) {
	b := newBench(t)
	b.far.Serve("/search", upstreamtest.Answer{Body: []byte("one"), ContentType: "application/json", Gzip: true},
		upstreamtest.Answer{Body: []byte("two"), ContentType: "application/json"}, upstreamtest.Answer{Status: 503})
	f := formats.Forward{Method: http.MethodGet, Path: "search", Keep: time.Minute}
	for _, step := range []struct {
		wait  time.Duration
		want  string
		stale bool
	}{{0, "one", false}, {time.Second, "one", false}, {time.Minute, "two", false}, {time.Hour, "two", true}} {
		b.clock.advance(step.wait)
		a, err := b.reader.Forward(context.Background(), f)
		if err != nil || string(a.Body) != step.want || a.Stale != step.stale || a.MediaType != "application/json" {
			t.Errorf("%+v, %v; want %+v", a, err, step)
		}
	}
	b.clock.advance(8 * 24 * time.Hour)
	if _, err := b.reader.Forward(context.Background(), f); !errors.Is(err, upstream.ErrUnavailable) {
		t.Errorf("error %v", err)
	}
	narrow := b.reg.For(policy.Subject{}, "acme/packages", base)
	if _, err := narrow.Forward(context.Background(), f); !errors.Is(err, formats.ErrNotFound) {
		t.Errorf("at a repository's URL: %v", err)
	}
}

func TestForwardTimeout(t *testing.T) {
	b := newBench(t)
	open := make(chan struct{})
	defer close(open)
	b.far.Serve("/search", upstreamtest.Answer{Wait: open})
	f := formats.Forward{Method: http.MethodPost, Path: "search", Body: []byte("{}"), Timeout: 20 * time.Millisecond}
	if _, err := b.reader.Forward(context.Background(), f); !errors.Is(err, upstream.ErrTimeout) {
		t.Errorf("error %v", err)
	}
}

// TestPrivateReads: on a server without anonymous reads nothing is for shared caches.
func TestPrivateReads(t *testing.T) {
	b := newBench(t, func(_ *bench, o *registryOptions) { o.PrivateReads = true })
	b.far.Serve("/p", answer("p: one", `"1"`))
	b.far.Serve("/f", upstreamtest.Answer{Body: []byte("file")})
	if c := b.sees("p: one", formats.Miss); !c.Private {
		t.Error("a document is for everybody")
	}
	c, err := b.reader.File(context.Background(), file("f"))
	if err != nil || !c.Private {
		t.Fatalf("%+v, %v", c, err)
	}
	if _, err := body(c); err != nil && err != io.EOF {
		t.Error(err)
	}
	if err := publish(b.as("alice", ""), "mine", "1", []byte("one")); err != nil {
		t.Fatal(err)
	}
	if c, err := b.reader.File(context.Background(), hostedFile("mine", "1")); err != nil || !c.Private {
		t.Errorf("a public package's file: %+v, %v", c, err)
	}
}
