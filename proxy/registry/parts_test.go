package registry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"larder/formats"
	"larder/policy"
	"larder/policy/rules"
	"larder/upstream/upstreamtest"
)

// image is an upstream with an index of one manifest of one blob, and another
// manifest of the same blob.
type image struct {
	*mirror
	layer, one, two, index []byte
}

func newImage(t *testing.T) *image {
	i := &image{mirror: newMirror(t, false), layer: text(1000)}
	i.one = naming(i.layer)
	i.two = append(naming(i.layer), " p/x"...)
	i.index = []byte("ok p/" + digestOf(i.one))
	i.serve(blob("p", i.layer, false), upstreamtest.Answer{Body: i.layer})
	for _, m := range [][]byte{i.one, i.two, i.index} {
		i.serve(manifest(m), upstreamtest.Answer{Body: m, ContentType: typeOfTags})
	}
	return i
}

// tag lets a tag stand for a manifest.
func (i *image) tag(name string, m []byte) {
	i.far.Serve("/p/tags/"+name, upstreamtest.Answer{Body: m, ContentType: typeOfTags, Header: http.Header{"Version": {digestOf(m)}}})
}

// may asks for things in turn, "t" for a tag, and tells which are given.
func (i *image) may(what ...string) string {
	i.t.Helper()
	given := ""
	for _, w := range what {
		var err error
		switch w {
		case "one", "two", "index":
			err = i.open(manifest(map[string][]byte{"one": i.one, "two": i.two, "index": i.index}[w]))
		case "layer":
			err = i.open(blob("p", i.layer, false))
		default:
			p := tagOf(w)
			p.File = manifestAt
			_, err = i.Resolve(context.Background(), p)
		}
		switch {
		case err == nil:
			given += " " + w
		case !errors.Is(err, policy.ErrDenied):
			i.t.Fatalf("%s: %v", w, err)
		}
	}
	return strings.TrimSpace(given)
}

// open reads a file, by HEAD too, which must be answered alike.
func (i *image) open(f formats.File) error {
	i.t.Helper()
	head := f
	head.Head = true
	_, first := i.File(context.Background(), head)
	c, err := i.File(context.Background(), f)
	if err == nil {
		_, err = body(c)
	}
	i.settled()
	if (first == nil) != (err == nil) {
		i.t.Fatalf("%s: HEAD %v, GET %v", f.Name, first, err)
	}
	return err
}

// TestPartRules: a part may be used by whoever may use one of the manifests that
// name it, and a manifest by whoever may use it by its own digest, by a tag that
// leads there, or, unless it is denied itself, as a part of an index.
func TestPartRules(t *testing.T) {
	one, two, index := digestOf(naming(text(1000))), digestOf(append(naming(text(1000)), " p/x"...)), digestOf([]byte("ok p/"+digestOf(naming(text(1000)))))
	deny := func(match ...string) rules.Rule { return rules.Rule{ID: "r", Kind: rules.Deny, Match: match} }
	for i, tt := range []struct {
		rule      rules.Rule
		ask, want string
	}{
		{deny("pkg:oci/other@1"), "layer one two t", "layer one two t"},
		{deny("pkg:oci/p"), "t one layer", ""},
		{rules.Rule{ID: "r", Kind: rules.Allow, Exclusive: true, Match: []string{"pkg:oci/p"}}, "layer one t", "layer one t"},
		{deny("pkg:oci/p@9"), "layer one layer", "one layer"},
		{deny("pkg:oci/p@" + one), "one layer two layer", "two layer"},
		{deny("pkg:oci/p@" + one), "index one layer", "index"},
		{deny("pkg:oci/p@"+one, "pkg:oci/p@"+two), "index one two layer", "index"},
		{deny("pkg:oci/p@t"), "t one layer", "one layer"},
		{rules.Rule{ID: "r", Kind: rules.Cooldown, MinAge: time.Hour}, "t index one layer", ""},
		{rules.Rule{ID: "r", Kind: rules.Cooldown, MinAge: time.Hour, Exempt: []string{"pkg:oci/p@t"}}, "u one layer t index one layer two", "t index one layer"},
		{rules.Rule{ID: "r", Kind: rules.Cooldown, MinAge: time.Hour, Exempt: []string{"pkg:oci/p@" + index}}, "one layer t index one layer two", "t index one layer"},
		{rules.Rule{ID: "r", Kind: rules.Cooldown, MinAge: time.Hour, Exempt: []string{"pkg:oci/p@" + two}}, "index one layer two layer", "two layer"},
		{rules.Rule{ID: "r", Kind: rules.Allow, Exclusive: true, Match: []string{"pkg:oci/p@t"}}, "one layer t index one layer two", "t index one layer"},
		{rules.Rule{ID: "r", Kind: rules.Deny, Match: []string{"pkg:oci/p"}, Exempt: []string{"pkg:oci/p@t"}}, "one t index one layer two", "t index one layer"},
		{rules.Rule{ID: "r", Kind: rules.Freeze, NotAfter: time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)}, "t one layer", ""},
		{rules.Rule{ID: "r", Kind: rules.Freeze, NotAfter: time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)}, "layer t index one layer", "t index one layer"},
	} {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			m := newImage(t)
			m.rules(tt.rule)
			m.tag("t", m.index)
			m.tag("u", m.two)
			if got := m.may(strings.Fields(tt.ask)...); got != tt.want {
				t.Errorf("%+v: of %q got %q, want %q", tt.rule, tt.ask, got, tt.want)
			}
		})
	}
}

// TestPartUnknown: what no manifest leads to is refused with a sentence that
// says what to do, and no upstream hears of it.
func TestPartUnknown(t *testing.T) {
	m := newImage(t)
	m.rules(rules.Rule{ID: "r", Kind: rules.Cooldown, MinAge: time.Hour})
	err := m.open(blob("p", m.layer, false))
	if !errors.Is(err, policy.ErrDenied) || !strings.Contains(err.Error(), "by its manifest first") {
		t.Errorf("error %v", err)
	}
	m.asked()
}

// TestAgeOfWhatIsHeld: a rule about age that is new finds old what was fetched
// long ago.
func TestAgeOfWhatIsHeld(t *testing.T) {
	m := newImage(t)
	m.tag("t", m.index)
	if got := m.may("t", "index", "one", "layer"); got != "t index one layer" {
		t.Fatal(got)
	}
	m.clock.advance(2 * time.Hour)
	m.rules(rules.Rule{ID: "r", Kind: rules.Cooldown, MinAge: time.Hour})
	if got := m.may("t", "index", "one", "layer", "two"); got != "t index one layer" {
		t.Errorf("got %q", got)
	}
	m.clock.advance(time.Hour)
	if got := m.may("two"); got != "two" {
		t.Errorf("got %q", got)
	}
}

// TestManyNeeds: more than are noted beside a manifest are read from it, once.
func TestManyNeeds(t *testing.T) {
	m := newImage(t)
	var all [][]byte
	for i := range 300 {
		all = append(all, []byte(fmt.Sprint(i)))
	}
	big, reads := naming(all...), 0
	f := manifest(big)
	check := f.Check
	f.Check = func(src io.Reader, mediaType string) (formats.FileFacts, error) {
		reads++
		return check(src, mediaType)
	}
	m.serve(f, upstreamtest.Answer{Body: big})
	m.rules(rules.Rule{ID: "r", Kind: rules.Deny, Match: []string{"pkg:oci/p@9"}})
	for range 3 {
		m.fetches(f, big)
	}
	if reads != 2 {
		t.Errorf("read %d times", reads)
	}
	for _, data := range [][]byte{all[0], all[299]} {
		m.serve(blob("p", data, false), upstreamtest.Answer{Body: data})
		m.fetches(blob("p", data, false), data)
	}
}

// TestPartsWithoutRoom: a manifest that cannot be stored leads to its parts too.
func TestPartsWithoutRoom(t *testing.T) {
	m := newImage(t)
	m.room.full.Store(true)
	m.rules(rules.Rule{ID: "r", Kind: rules.Deny, Match: []string{"pkg:oci/p@9"}})
	if got := m.may("layer", "one", "layer"); got != "one layer" {
		t.Errorf("got %q", got)
	}
}

// TestExplainPointer: a question about a tag or a digest is answered by what is
// held of it, and asks no upstream.
func TestExplainPointer(t *testing.T) {
	m := newImage(t)
	m.tag("t", m.one)
	one := digestOf(m.one)
	if got := m.may("t"); got != "t" {
		t.Fatal(got)
	}
	m.settled()
	m.far.Forget()
	for _, tt := range []struct {
		rule          rules.Rule
		version       string
		held, refused bool
	}{
		{rules.Rule{ID: "r", Kind: rules.Deny, Match: []string{"pkg:oci/p@" + one}}, "t", true, true},
		{rules.Rule{ID: "r", Kind: rules.Deny, Match: []string{"pkg:oci/p@" + one}}, one, true, true},
		{rules.Rule{ID: "r", Kind: rules.Deny, Match: []string{"pkg:oci/p@t"}}, "t", true, true},
		{rules.Rule{ID: "r", Kind: rules.Deny, Match: []string{"pkg:oci/p@t"}}, one, true, false},
		{rules.Rule{ID: "r", Kind: rules.Deny, Match: []string{"pkg:oci/p"}}, "u", false, true},
		{rules.Rule{ID: "r", Kind: rules.Cooldown, MinAge: time.Hour}, "t", true, true},
		{rules.Rule{ID: "r", Kind: rules.Cooldown, MinAge: time.Hour}, digestOf(m.two), false, false},
		{rules.Rule{ID: "r", Kind: rules.Cooldown, MinAge: time.Nanosecond}, "t", true, false},
	} {
		m.rules(tt.rule)
		m.clock.advance(1)
		got, err := m.mirrored.Explain(context.Background(), "p", tt.version)
		if err != nil || got.Held != tt.held || got.Refused != tt.refused {
			t.Errorf("%+v of %s: %+v, %v", tt.rule, tt.version, got, err)
		}
	}
	m.asked()
}
