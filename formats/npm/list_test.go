package npm

import (
	"slices"
	"testing"
	"time"

	"larder/formats"
)

// What rules are asked about comes from the same index as what is fetched.
func TestListing(t *testing.T) {
	f := New(Options{})
	d := f.Listing("@s/n")
	if d.Package != "@s/n" || d.Age != formats.Any || !d.BaseFree {
		t.Errorf("%+v", d)
	}
	index := rendered(t, WriteFiles, upstreamDoc, view("@s/n"))
	got := slices.Collect(f.List("@s/n", []byte(index)))
	if len(got) != 4 {
		t.Fatalf("%d versions are listed: %+v", len(got), got)
	}
	want := formats.Listed{Version: "1.1.0", File: "@s/n/-/n-1.1.0.tgz", Published: time.Date(2021, 1, 1, 0, 0, 0, 0, time.UTC)}
	if got[1] != want {
		t.Errorf("%+v, want %+v", got[1], want)
	}
	if !got[2].Published.IsZero() {
		t.Errorf("%+v has a time that nobody gave", got[2])
	}
	if f.Compare("1.0.0", "1.0.0+build") != 0 || f.Compare("1.9.0", "1.10.0") >= 0 || f.Compare("1.0.0", "1.0.0-rc.1") <= 0 || f.Compare("x", "1.0.0") >= 0 {
		t.Error("versions are out of order")
	}
	if f.Newest([]string{"2.0.0-rc.1", "1.10.0", "1.9.0"}) != "1.10.0" || f.Newest(nil) != "" {
		t.Error("a pre-release is newest, or nothing is something")
	}
	for range f.List("@s/n", []byte(index)) {
		break
	}
}
