package purl

import "testing"

func TestParse(t *testing.T) {
	for text, want := range map[string]Purl{
		"pkg:npm/left":                      {"npm", "left", ""},
		"pkg:npm/left@1.0.0":                {"npm", "left", "1.0.0"},
		"pkg:npm/@acme/widget":              {"npm", "@acme/widget", ""},
		"pkg:npm/%40acme/widget@1.0.0-rc.1": {"npm", "@acme/widget", "1.0.0-rc.1"},
		"pkg:npm/@acme/widget@1.0.0":        {"npm", "@acme/widget", "1.0.0"},
		"pkg://NPM/left":                    {"npm", "left", ""},
		"pkg:gem/rails@7.0.0":               {"rubygems", "rails", "7.0.0"},
		"pkg:maven/com.acme/widget@1.0":     {"maven", "com.acme:widget", "1.0"},
		"pkg:golang/a.example/b/c@v1":       {"go", "a.example/b/c", "v1"},
		"pkg:oci/acme/app@sha256%3Aab":      {"oci", "acme/app", "sha256:ab"},
	} {
		p, err := Parse(text)
		if err != nil || p != want {
			t.Errorf("%s: %+v, %v", text, p, err)
			continue
		}
		if again, err := Parse(p.String()); err != nil || again != p {
			t.Errorf("%s is written %s, which is %+v, %v", text, p, again, err)
		}
	}
	for _, text := range []string{
		"", "left", "pkg:", "pkg:npm", "pkg:npm/", "pkg:nmp/x", "pkg:npm/x?a=b", "pkg:npm/x#y", "pkg:npm/%zz", "pkg:npm/a%00b", "pkg:npm/%ff",
		"pkg:npm/x@%0a", "pkg:npm/" + string(make([]byte, maxText)),
	} {
		if p, err := Parse(text); err == nil {
			t.Errorf("%.40q is taken as %+v", text, p)
		}
	}
}

// What is taken is written so that it is taken as the same again.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"pkg:npm/@a/b@1", "pkg:maven/a/b", "pkg:oci/a@sha256%3Ab", "pkg:npm/%40a%2fb", "pkg:npm/a@@1", "pkg:npm//a@"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		if again, err := Parse(p.String()); err != nil || again != p {
			t.Errorf("%q is %+v, written %s, and that is %+v, %v", text, p, p, again, err)
		}
	})
}
