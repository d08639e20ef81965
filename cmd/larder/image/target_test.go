package image

import (
	"errors"
	"strings"
	"testing"
)

// TestTargets: what imported images are called.
func TestTargets(t *testing.T) {
	for _, tt := range []struct{ noted, tag, into, want string }{
		{"h/acme/app:v1", "v1", "", "acme/app:v1"},
		{"h/acme/app:v1", "v1", "other", "other/app:v1"},
		{"h/acme/team/app:v1", "", "other", "other/team/app:v1"},
		{"h/mirror/up/library/base:12", "12", "", "library/base:12"},
		{"h/mirror/up/library/base:12", "12", "other", "other/library/base:12"},
		{"h/acme/app@sha256:0000000000000000000000000000000000000000000000000000000000000000", "", "", "acme/app:"},
		{"", "v1", "acme/app", "acme/app:v1"},
		{"", "", "acme/app", "acme/app:"},
		{"", "acme/app:v1", "", "acme/app:v1"},
		{"", "app:v1", "acme", "acme/app:v1"},
		{"", "v1", "", ""},
		{"", "../../app:v1", "acme", ""},
		{"h/acme/app:v1", "", "../x", ""},
		{"h/mirror/up", "", "", ""},
		{"no name", "", "", ""},
		// What containerd, nerdctl and docker note.
		{"c:up.example/team/app:1", "1", "", "team/app:1"},
		{"c:up.example/team/app:1", "1", "acme", "acme/app:1"},
		{"c:up.example/app:1", "1", "acme", "acme/app:1"},
		{"c:no name", "v1", "acme/app", "acme/app:v1"},
	} {
		d := descriptor{Digest: "sha256:1", Annotations: map[string]string{noteName: tt.noted, noteTag: tt.tag}}
		if foreign, ok := strings.CutPrefix(tt.noted, "c:"); ok {
			d.Annotations = map[string]string{"io.containerd.image.name": foreign, noteTag: tt.tag}
		}
		x := &importer{Import: &Import{Into: tt.into}}
		e, err := x.target(d)
		got := e.name + ":" + e.tag
		if tt.want == "" && !errors.Is(err, ErrLayout) || tt.want != "" && (err != nil || got != tt.want) {
			t.Errorf("%q %q into %q is %q, %v, want %q", tt.noted, tt.tag, tt.into, got, err, tt.want)
		}
	}
}
