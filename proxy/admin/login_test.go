package admin

import (
	"net/url"
	"strings"
	"testing"
)

const asForm = "Content-Type: application/x-www-form-urlencoded"

func TestLoginPage(t *testing.T) {
	w := newWorld(t)
	pairing := w.accounts.Pairing()
	id, code, err := pairing.Begin(t.Context(), netipOf("198.51.100.7"))
	w.must(err)
	page := w.do("GET", "/ui/login/"+code, "", "")
	if text := page.Body.String(); !strings.Contains(text, "198.51.100.7") || !strings.Contains(text, "192.0.2.1") {
		t.Errorf("the page does not say where the login was begun, and that it was elsewhere: %s", text)
	}
	if page.Code != 200 || !strings.Contains(page.Body.String(), `name="token" type="password"`) || page.Header().Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("%d %v %s", page.Code, page.Header(), page.Body)
	}
	post := func(code, token string, lines ...string) (int, string) {
		rec := w.do("POST", "/ui/login/"+code, "", url.Values{"token": {token}}.Encode(), append(lines, asForm)...)
		return rec.Code, rec.Body.String()
	}
	if status, text := post(code, ""); status != 400 || !strings.Contains(text, "the token is missing") {
		t.Errorf("no token: %d %s", status, text)
	}
	if status, text := post(code, "<script>"); status != 401 || strings.Contains(text, "<script>") || !strings.Contains(text, "<form") {
		t.Errorf("a bad token: %d %s", status, text)
	}
	if status, text := post("other", w.bob); status != 404 || !strings.Contains(text, "begin it again") || strings.Contains(text, "<form") {
		t.Errorf("a bad code: %d %s", status, text)
	}
	if over := w.do("GET", "/ui/login/other", "", ""); over.Code != 404 || strings.Contains(over.Body.String(), "<form") {
		t.Errorf("a bad code asks for a token: %d %s", over.Code, over.Body)
	}
	for _, line := range []string{"Sec-Fetch-Site: cross-site", "Origin: https://evil.example"} {
		if status, _ := post(code, w.bob, line); status != 403 {
			t.Errorf("%s: %d", line, status)
		}
	}
	if _, ok, err := pairing.Take(t.Context(), id); ok || err != nil {
		t.Errorf("confirmed by a refusal: %v", err)
	}
	if status, text := post(code, w.bob, "Sec-Fetch-Site: same-origin"); status != 200 || !strings.Contains(text, "Signed in as <strong>bob</strong>") {
		t.Errorf("%d %s", status, text)
	}
	secret, ok, err := pairing.Take(t.Context(), id)
	w.must(err)
	if !ok || subject(t, w, secret).User != "bob" {
		t.Error("another user was signed in")
	}
	if rec := w.do("PUT", "/ui/login/x", "", "x"); rec.Code != 405 {
		t.Errorf("PUT: %d", rec.Code)
	}
	if status, _ := post(code, w.bob); status != 404 {
		t.Errorf("a code counts twice: %d", status)
	}
	_, code, err = pairing.Begin(t.Context(), netipOf("192.0.2.1"))
	w.must(err)
	if page := w.do("GET", "/ui/login/"+code, "", ""); strings.Contains(page.Body.String(), "elsewhere") {
		t.Errorf("a login begun here: %s", page.Body)
	}
	if status, _ := post(code, strings.Repeat("a", maxForm+1)); status != 400 {
		t.Errorf("a form without end: %d", status)
	}
}
