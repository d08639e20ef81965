package accounts

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"larder/formats"
	"larder/policy"
)

const tok, other = "ldrp_one", "ldrr_two"

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestCredentials(t *testing.T) {
	for _, c := range []struct {
		name string
		auth []string
		key  []string
		want []string
		err  error
	}{
		{name: "none"},
		{name: "bearer", auth: []string{"Bearer " + tok}, want: []string{tok}},
		{name: "bearer in other cases", auth: []string{"bEARER   " + tok + " "}, want: []string{tok}},
		{name: "token", auth: []string{"token " + tok}, want: []string{tok}},
		{name: "bare", auth: []string{tok}, want: []string{tok}},
		{name: "basic", auth: []string{"Basic " + b64("ann:"+tok)}, want: []string{tok}},
		{name: "basic unpadded", auth: []string{"basic " + strings.TrimRight(b64("an:"+tok), "=")}, want: []string{tok}},
		{name: "basic with colons", auth: []string{"Basic " + b64("ann:a:b")}, want: []string{"a:b"}},
		{name: "basic, token as user", auth: []string{"Basic " + b64(tok+":")}, want: []string{tok}},
		{name: "basic, token without colon", auth: []string{"Basic " + b64(tok)}, err: policy.ErrUnauthenticated},
		{name: "basic of nothing but a word", auth: []string{"Basic " + b64("ann")}, err: policy.ErrUnauthenticated},
		{name: "basic of an empty text", auth: []string{"Basic " + b64("")}, err: policy.ErrUnauthenticated},
		{name: "basic, filler password", auth: []string{"Basic " + b64(tok+":x-oauth-basic")}, want: []string{tok}},
		{name: "basic, token twice", auth: []string{"Basic " + b64(tok+":"+tok)}, want: []string{tok}},
		{name: "basic, two tokens", auth: []string{"Basic " + b64(tok+":"+other)}, err: formats.ErrBadRequest},
		{name: "basic, no password", auth: []string{"Basic " + b64("ann:")}, want: []string{""}},
		{name: "basic, not base64", auth: []string{"Basic ann:" + tok}, err: policy.ErrUnauthenticated},
		{name: "empty", auth: []string{""}, err: policy.ErrUnauthenticated},
		{name: "bearer of nothing", auth: []string{"Bearer "}, err: policy.ErrUnauthenticated},
		{name: "basic of nothing", auth: []string{"Basic"}, err: policy.ErrUnauthenticated},
		{name: "unknown scheme", auth: []string{"Digest username=ann"}, err: policy.ErrUnauthenticated},
		{name: "two headers", auth: []string{"Bearer " + tok, "Bearer " + tok}, err: formats.ErrBadRequest},
		{name: "large", auth: []string{"Bearer " + strings.Repeat("a", 12<<10)}, want: []string{strings.Repeat("a", 12<<10)}},
		{name: "huge", auth: []string{"Bearer " + strings.Repeat("a", 64<<10)}, err: policy.ErrUnauthenticated},
		{name: "huge key", key: []string{strings.Repeat("a", 64<<10)}, err: policy.ErrUnauthenticated},
		{name: "key", key: []string{tok}, want: []string{tok}},
		{name: "empty key", key: []string{""}, want: []string{""}},
		{name: "unknown key", key: []string{"abc"}, want: []string{"abc"}},
		{name: "two keys", key: []string{tok, tok}, err: formats.ErrBadRequest},
		{name: "key and the same", key: []string{tok}, auth: []string{"Basic " + b64("ann:"+tok)}, want: []string{tok, tok}},
		{name: "key and another", key: []string{tok}, auth: []string{"Basic " + b64("ann:"+other)}, want: []string{tok, other}},
		{name: "dummy key beside basic", key: []string{"az"}, auth: []string{"Basic " + b64("ann:"+tok)}, want: []string{tok}},
		{name: "empty key beside basic", key: []string{""}, auth: []string{"Basic " + b64("ann:"+tok)}, want: []string{tok}},
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
		got, err := credentials(r)
		if !slices.Equal(got, c.want) || !errors.Is(err, c.err) {
			t.Errorf("%s: %q, %v; want %q, %v", c.name, got, err, c.want, c.err)
		}
		if err != nil && (strings.Contains(err.Error(), tok) || strings.Contains(err.Error(), other)) {
			t.Errorf("%s: the error holds the credential: %v", c.name, err)
		}
	}
}

// Whatever the headers hold, a request that has one of them is never that of
// nobody: it carries a credential, or it is refused.
func FuzzCredentials(f *testing.F) {
	for _, s := range []string{"", "Bearer " + tok, "token " + tok, tok, "Basic " + b64("ann:"+tok), "Basic " + b64(tok+":"+other), "Basic !", "a b c", "Basic \x00"} {
		f.Add(s, "", false)
		f.Add(s, tok, true)
		f.Add("", s, true)
	}
	f.Fuzz(func(t *testing.T, auth, key string, hasKey bool) {
		r := &http.Request{Header: http.Header{"Authorization": {auth}}}
		if hasKey {
			r.Header["X-Nuget-Apikey"] = []string{key}
		}
		found, err := credentials(r)
		if err != nil && len(found) > 0 {
			t.Fatal("an error beside a secret")
		}
		if err == nil && len(found) == 0 {
			t.Fatalf("Authorization %q passes as no credential", auth)
		}
		if err != nil && !errors.Is(err, formats.ErrBadRequest) && !errors.Is(err, policy.ErrUnauthenticated) {
			t.Fatalf("unknown error %v", err)
		}
		for _, secret := range found {
			if len(secret) > maxCredential || len(found) > 2 {
				t.Fatalf("%d secrets, one of %d bytes", len(found), len(secret))
			}
		}
	})
}
