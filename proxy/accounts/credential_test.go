package accounts

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"larder/formats"
	"larder/policy"
)

const tok, other = "ldrp_one", "ldrr_two"

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestCredential(t *testing.T) {
	for _, c := range []struct {
		name string
		auth []string
		key  []string
		want string
		ok   bool
		err  error
	}{
		{name: "none"},
		{name: "bearer", auth: []string{"Bearer " + tok}, want: tok, ok: true},
		{name: "bearer in other cases", auth: []string{"bEARER   " + tok + " "}, want: tok, ok: true},
		{name: "token", auth: []string{"token " + tok}, want: tok, ok: true},
		{name: "bare", auth: []string{tok}, want: tok, ok: true},
		{name: "basic", auth: []string{"Basic " + b64("ann:"+tok)}, want: tok, ok: true},
		{name: "basic unpadded", auth: []string{"basic " + strings.TrimRight(b64("an:"+tok), "=")}, want: tok, ok: true},
		{name: "basic with colons", auth: []string{"Basic " + b64("ann:a:b")}, want: "a:b", ok: true},
		{name: "basic, token as user", auth: []string{"Basic " + b64(tok+":")}, want: tok, ok: true},
		{name: "basic, token as user without colon", auth: []string{"Basic " + b64(tok)}, want: tok, ok: true},
		{name: "basic, filler password", auth: []string{"Basic " + b64(tok+":x-oauth-basic")}, want: tok, ok: true},
		{name: "basic, token twice", auth: []string{"Basic " + b64(tok+":"+tok)}, want: tok, ok: true},
		{name: "basic, two tokens", auth: []string{"Basic " + b64(tok+":"+other)}, err: formats.ErrBadRequest},
		{name: "basic, no password", auth: []string{"Basic " + b64("ann:")}, want: "", ok: true},
		{name: "basic, not base64", auth: []string{"Basic ann:" + tok}, err: policy.ErrUnauthenticated},
		{name: "empty", auth: []string{""}, err: policy.ErrUnauthenticated},
		{name: "bearer of nothing", auth: []string{"Bearer "}, err: policy.ErrUnauthenticated},
		{name: "basic of nothing", auth: []string{"Basic"}, err: policy.ErrUnauthenticated},
		{name: "unknown scheme", auth: []string{"Digest username=ann"}, err: policy.ErrUnauthenticated},
		{name: "two headers", auth: []string{"Bearer " + tok, "Bearer " + tok}, err: formats.ErrBadRequest},
		{name: "huge", auth: []string{"Bearer " + strings.Repeat("a", maxCredential)}, err: formats.ErrBadRequest},
		{name: "key", key: []string{tok}, want: tok, ok: true},
		{name: "empty key", key: []string{""}, want: "", ok: true},
		{name: "unknown key", key: []string{"abc"}, want: "abc", ok: true},
		{name: "two keys", key: []string{tok, tok}, err: formats.ErrBadRequest},
		{name: "key and the same", key: []string{tok}, auth: []string{"Basic " + b64("ann:"+tok)}, want: tok, ok: true},
		{name: "key and another", key: []string{tok}, auth: []string{"Basic " + b64("ann:"+other)}, err: formats.ErrBadRequest},
		{name: "dummy key beside basic", key: []string{"az"}, auth: []string{"Basic " + b64("ann:"+tok)}, want: tok, ok: true},
		{name: "empty key beside basic", key: []string{""}, auth: []string{"Basic " + b64("ann:"+tok)}, want: tok, ok: true},
		{name: "key and rubbish", key: []string{tok}, auth: []string{"Basic !"}, err: policy.ErrUnauthenticated},
	} {
		// A credential in the query string is none, in every row.
		r := httptest.NewRequest(http.MethodGet, "/npm/x?access_token="+other+"&token="+other+"&api_key="+other, nil)
		if c.auth != nil {
			r.Header["Authorization"] = c.auth
		}
		if c.key != nil {
			r.Header["X-Nuget-Apikey"] = c.key
		}
		got, ok, err := Credential(r)
		if got != c.want || ok != c.ok || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v, %v; want %q, %v, %v", c.name, got, ok, err, c.want, c.ok, c.err)
		}
		if err != nil && (strings.Contains(err.Error(), tok) || strings.Contains(err.Error(), other)) {
			t.Errorf("%s: the error holds the credential: %v", c.name, err)
		}
	}
}

func FuzzCredential(f *testing.F) {
	for _, s := range []string{"", "Bearer " + tok, "token " + tok, tok, "Basic " + b64("ann:"+tok), "Basic " + b64(tok+":"+other), "Basic !", "a b c", "Basic \x00"} {
		f.Add(s, "")
		f.Add(s, tok)
		f.Add("", s)
	}
	f.Fuzz(func(t *testing.T, auth, key string) {
		r := &http.Request{Header: http.Header{}}
		r.Header["Authorization"] = []string{auth}
		if key != "" {
			r.Header["X-Nuget-Apikey"] = []string{key}
		}
		secret, ok, err := Credential(r)
		if err != nil && (ok || secret != "") {
			t.Fatal("an error beside a secret")
		}
		if err == nil && !ok {
			t.Fatalf("Authorization %q passes as no credential", auth)
		}
		if err != nil && !errors.Is(err, formats.ErrBadRequest) && !errors.Is(err, policy.ErrUnauthenticated) {
			t.Fatalf("unknown error %v", err)
		}
		if len(secret) > maxCredential {
			t.Fatalf("a secret of %d bytes", len(secret))
		}
	})
}
