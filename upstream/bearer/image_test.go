package bearer

import (
	"strings"
	"testing"
)

func TestImageOf(t *testing.T) {
	for ref, want := range map[string]string{
		"v2/alpine/manifests/3.20":                            "alpine",
		"/v2/acme/app/blobs/sha256:00":                        "acme/app",
		"v2/a/b/c/tags/list?n=5&last=x":                       "a/b/c",
		"v2/a/referrers/sha256:00?artifactType=x/manifests/y": "a",
		"v2/a/manifests/b/manifests/latest":                   "a/manifests/b",
		"v2/tags/list/tags/list":                              "tags/list",
		"v2/v2/manifests/v2":                                  "v2",
		"https://hub.example/v2/a.b/c_d--e/manifests/x":       "a.b/c_d--e",
		"https://hub.example/sub/path/v2/a/tags/list":         "a",
		"v2/":                          "",
		"v2":                           "",
		"":                             "",
		"v2/_catalog":                  "",
		"v2/manifests/x":               "",
		"v2/a/tags/other":              "",
		"v2/a/nothing/x":               "",
		"v2/A/manifests/x":             "",
		"v2/a/../b/manifests/x":        "",
		"v2/a//b/manifests/x":          "",
		"v2/a%2fb/manifests/x":         "",
		"v2/a b/manifests/x":           "",
		"v2/a\",scope=\"x/manifests/x": "",
		"other/a/manifests/x":          "",
		"https://hub.example/v3/a/manifests/x?also=/v2/a/tags": "",
	} {
		if got := imageOf(ref); got != want {
			t.Errorf("%s: %q, want %q", ref, got, want)
		}
	}
}

func FuzzImageOf(f *testing.F) {
	for _, s := range []string{"v2/alpine/manifests/3.20", "/v2/a/b/tags/list?n=1", "https://hub.example/v2/a/blobs/x", "v2/a/../b/manifests/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, ref string) {
		name := imageOf(ref)
		if name == "" {
			return
		}
		if strings.ContainsAny(name, " \",:?%\\\n") || strings.Contains("/"+name+"/", "/../") || strings.Contains("/"+name+"/", "//") {
			t.Errorf("%q has the name %q", ref, name)
		}
		if again := imageOf("v2/" + name + "/manifests/x"); again != name {
			t.Errorf("%q became %q", name, again)
		}
	})
}
