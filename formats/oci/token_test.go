package oci

import (
	"net/url"
	"testing"
	"time"

	"larder/formats"
)

func values(t *testing.T, raw string) url.Values {
	t.Helper()
	v, err := url.ParseQuery(raw)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestTokenRequests: the forms that clients were seen to send.
func TestTokenRequests(t *testing.T) {
	for raw, n := range map[string]int{
		"account=u&client_id=docker&offline_token=true&service=s":                       1,
		"scope=repository:n:pull&service=s":                                             1,
		"scope=repository:n:push%2Cpull&scope=repository:o:pull&service=s":              2,
		"account=u&scope=repository:n:*":                                                1,
		"scope=registry:catalog:*":                                                      1,
		"service=s&account=u&username=u&password=p&grant_type=password&scope=":          1,
		"service=s&scope=repository:n:pull+repository:o:pull&scope=*&client_id=x&y=%20": 2,
	} {
		if in := parseQuery(values(t, raw)); len(in.scopes) != n || in.user != "" || in.secret != "" {
			t.Errorf("GET %s: %+v, want %d scopes and no credential", raw, in, n)
		}
	}
	in, err := parseForm(values(t, "grant_type=password&service=s&client_id=oras-go&username=u&password=p+1&scope=repository:n:pull+*"))
	if err != nil || in.user != "u" || in.secret != "p 1" || len(in.scopes) != 1 {
		t.Errorf("%+v, %v", in, err)
	}
	for raw, status := range map[string]int{
		"grant_type=password&username=u": 401, "grant_type=password&password=p": 401, "grant_type=refresh_token&refresh_token=x": 401,
		"grant_type=client_credentials": 400, "": 400, "username=u&password=p": 400,
		"grant_type=password&username=u&password=p&password=q": 400, "grant_type=password&username=u&username=v&password=p": 400,
		"grant_type=password&grant_type=refresh_token&username=u&password=p": 400,
	} {
		_, err := parseForm(values(t, raw))
		if f := failureOf(err); f.Status != status || (codeOf(f) == codeUnauthorized) != (status == 401) {
			t.Errorf("POST %s: %d %s (%v), want %d", raw, f.Status, codeOf(f), err, status)
		}
	}
}

func TestTokenAnswer(t *testing.T) {
	now := time.Date(2026, 8, 4, 11, 12, 13, 999, time.FixedZone("", 7200))
	body, err := tokenAnswer(formats.Bearer{Secret: "ldrx_a-b.c", Life: 5 * time.Minute, Issued: now})
	want := `{"token":"ldrx_a-b.c","access_token":"ldrx_a-b.c","expires_in":300,"issued_at":"2026-08-04T09:12:13Z"}`
	if err != nil || string(body) != want {
		t.Errorf("%s, %v\nwant %s", body, err, want)
	}
}
