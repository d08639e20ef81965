package image

import (
	"strings"
	"testing"
)

// TestReferences: what names an image.
func TestReferences(t *testing.T) {
	digest := "sha256:" + strings.Repeat("a", 64)
	for text, want := range map[string]string{
		"h/acme/app:v1":                  "h acme/app v1",
		"127.0.0.1:8080/acme/app":        "127.0.0.1:8080 acme/app latest",
		"h:80/mirror/up/library/base:12": "h:80 mirror/up/library/base 12",
		"h/a@" + digest:                  "h a " + digest,
		"h/a:v1@" + digest:               "h a " + digest,
		"h":                              "", "": "", "h/": "", "/a:v1": "", "h/a:": "", "h/a@": "", "h/a@sha256:00": "",
		"h/../a:v1": "", "h/a//b:v1": "", "h/A:v1": "", "h/a:v 1": "", "h/a?x=y": "", "h/a%2f..:v1": "", "h/a:-v": "",
	} {
		got := ""
		if r, err := ParseReference(text); err == nil {
			got = r.Host + " " + r.Name + " " + r.which()
		}
		if got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}
