package bearer

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// written is a list of offers as a test can compare it.
func written(list []offer) string {
	var out []string
	for _, o := range list {
		text := o.scheme + "(" + o.token
		for _, name := range slices.Sorted(maps.Keys(o.params)) {
			text += fmt.Sprintf(" %s=%q", name, o.params[name])
		}
		out = append(out, text+")")
	}
	return strings.Join(out, "; ")
}

func TestParseOffers(t *testing.T) {
	for field, want := range map[string]string{
		"":                           ``,
		"Basic":                      `basic()`,
		`Basic realm="x"`:            `basic( realm="x")`,
		`basic REALM = x , Bearer`:   `basic( realm="x"); bearer()`,
		`Negotiate abc==, Basic a=b`: `negotiate(abc==); basic( a="b")`,
		`Negotiate, NTLM`:            `negotiate(); ntlm()`,
		`Bearer realm="https://a.example/t",service="s",scope="repository:a:pull,push"`: `bearer( realm="https://a.example/t" scope="repository:a:pull,push" service="s")`,
		`Newauth realm="apps", type=1, title="Login to \"apps\"", Basic realm="simple"`: `newauth( realm="apps" title="Login to \"apps\"" type="1"); basic( realm="simple")`,
		", ,Basic a=b,,c=d , ,Other e=f,":                                               `basic( a="b" c="d"); other( e="f")`,
		"Bearer a=\"tab\tquoted\\\\\"":                                                  `bearer( a="tab\tquoted\\")`,
		`Bearer a="\u00fc", b=c`:                                                        `bearer( a="u00fc" b="c")`,
		"Bearer a=\"\xc3\xbc\"":                                                         `bearer( a="ü")`,
		`Bearer a=`:                                                                     `bearer(a=)`,
		// What is none, and what follows it.
		`Basic a="x`:               ``,
		`Basic a="x\`:              ``,
		"Basic a=\"x\ny\"":         ``,
		"Basic a=\"x\\\x00y\"":     ``,
		`Basic a=b, Bearer a="x`:   `basic( a="b")`,
		`Basic a=b c=d, Other`:     ``,
		`Basic a=b, a=c, Other`:    ``,
		`Basic a=b, A=c`:           ``,
		`Basic =b, Other`:          ``,
		`Basic a="b"c, Other`:      ``,
		`Basic a b, Other`:         ``,
		"Basic\ta=b":               ``,
		`"quoted"`:                 ``,
		`Other, "quoted", Another`: `other()`,
		`Other; Another`:           ``,
	} {
		if got := written(parseOffers(field)); got != want {
			t.Errorf("%s\n got %s\nwant %s", field, got, want)
		}
	}
	if list := parseOffers("Basic a=" + strings.Repeat("x", maxChallenge)); list != nil {
		t.Error("a field without end was read")
	}
}

func TestBearerOf(t *testing.T) {
	const realm = "https://auth.example/token"
	for field, want := range map[string]string{
		`Bearer realm="` + realm + `",service="hub",scope="repository:a:pull"`:           realm + "?scope=repository%3Aa%3Apull&service=hub",
		`Basic realm="x", bearer realm="` + realm + `"`:                                  realm,
		`Bearer realm="` + realm + `?a=b",service="hub"`:                                 realm + "?a=b&service=hub",
		`Bearer realm="` + realm + `",scope=" repository:a:pull  repository:b:pull "`:    realm + "?scope=repository%3Aa%3Apull&scope=repository%3Ab%3Apull",
		`Bearer realm="https://u:p@auth.example/token#x"`:                                realm,
		`Bearer realm="` + realm + `",service="a&b=c d",error="insufficient_scope"`:      realm + "?service=a%26b%3Dc+d",
		`Bearer realm="relative", Bearer realm="` + realm + `"`:                          realm,
		`Bearer realm="/v2/token"`:                                                       "",
		`Bearer realm="//auth.example/token"`:                                            "",
		`Bearer realm="ftp://auth.example/token"`:                                        "",
		`Bearer realm="https:auth.example"`:                                              "",
		`Bearer realm="https://"`:                                                        "",
		`Bearer realm="https://auth.example/%zz"`:                                        "",
		`Bearer realm="https://auth.example/?%zz"`:                                       "",
		`Bearer realm="file:///etc/passwd"`:                                              "",
		`Bearer realm="https://auth.example/` + strings.Repeat("x", maxRealm) + `"`:      "",
		`Bearer realm="` + realm + `",service="` + strings.Repeat("x", maxRealm+1) + `"`: "",
		`Bearer realm="` + realm + `",scope="` + strings.Repeat("x", maxScope+1) + `"`:   "",
		`Bearer service="hub"`:                                                           "",
		`Basic realm="` + realm + `"`:                                                    "",
		`Bearer`:                                                                         "",
		``:                                                                               "",
	} {
		c, ok := bearerOf(field)
		if ok != (want != "") || ok && c.ask() != want {
			t.Errorf("%s\n got %v %s\nwant %s", field, ok, c.ask(), want)
		}
	}
}

func FuzzChallenge(f *testing.F) {
	for _, s := range []string{
		`Bearer realm="https://a.example/t",service="s",scope="repository:a:pull,push",error="insufficient_scope"`,
		`Newauth realm="apps", type=1, title="Login to \"apps\"", Basic realm="simple"`, `Negotiate abc==, Basic a=b`, ", ,Basic a=b,,c=d",
		`Bearer realm="https://u:p@a.example:99999/?x=%20#y"`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, field string) {
		for _, o := range parseOffers(field) {
			if o.scheme == "" || len(o.params) > 0 && o.token != "" {
				t.Errorf("%q holds %+v", field, o)
			}
			for name, value := range o.params {
				if name == "" || strings.ContainsAny(value, "\x00\r\n") {
					t.Errorf("%q holds %q=%q", field, name, value)
				}
			}
		}
		c, ok := bearerOf(field)
		if !ok {
			return
		}
		u, err := url.Parse(c.ask())
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || u.Fragment != "" {
			t.Fatalf("%q leads to %q", field, c.ask())
		}
		q, err := url.ParseQuery(u.RawQuery)
		if err != nil || c.service != "" && !slices.Contains(q["service"], c.service) {
			t.Errorf("%q asks %v (%v) for the service %q", field, q, err, c.service)
		}
	})
}
