package ocitest

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"larder/upstream/upstreamtest/faulty"
)

// granted is what a token is good for.
type granted struct {
	names []string // images that may be pulled
	until time.Time
}

// token answers GET and POST of the token service. The form of a POST may name
// user and password; a GET brings them as Basic.
func (r *Registry) token(q *http.Request, body []byte) faulty.Answer {
	asked := q.URL.Query()
	user, password, signs := q.BasicAuth()
	switch q.Method {
	case http.MethodGet:
	case http.MethodPost:
		form, err := url.ParseQuery(string(body))
		if err != nil || form.Get("grant_type") != "password" {
			return refusal(http.StatusBadRequest, "UNSUPPORTED")
		}
		asked, user, password, signs = form, form.Get("username"), form.Get("password"), true
	default:
		return refusal(http.StatusMethodNotAllowed, "UNSUPPORTED")
	}
	guest := q.Method == http.MethodGet && (q.Header.Get("Authorization") == "" || signs && user == "" && password == "")
	if !guest && !(signs && r.knows(user, password)) {
		return refusal(http.StatusUnauthorized, "UNAUTHORIZED")
	}
	g := granted{until: time.Now().Add(r.opt.TokenLives)}
	if !guest || r.opt.Guests {
		g.names = pulled(asked["scope"])
	}
	secret := rand.Text()
	r.mu.Lock()
	r.tokens[secret] = g
	r.mu.Unlock()
	answer := map[string]any{"token": secret, "access_token": secret, "issued_at": time.Now().UTC().Format(time.RFC3339)}
	if !r.opt.NoExpiry {
		answer["expires_in"] = int(r.opt.TokenLives / time.Second)
	}
	return encode("application/json", answer)
}

// pulled returns the images that scopes ask to pull.
func pulled(scopes []string) (names []string) {
	for _, scope := range strings.Fields(strings.Join(scopes, " ")) {
		rest, ok := strings.CutPrefix(scope, "repository:")
		at := strings.LastIndexByte(rest, ':')
		if ok && at > 0 && slices.ContainsFunc(strings.Split(rest[at+1:], ","), func(a string) bool { return a == "pull" || a == "*" }) {
			names = append(names, rest[:at])
		}
	}
	return names
}

func (r *Registry) knows(user, password string) bool {
	return r.opt.Password != "" && password == r.opt.Password && (r.opt.User == "" || user == r.opt.User)
}

// challenge is the answer to a request that may not be made as it came; ok says
// that it may. name is "" for what concerns no image.
func (r *Registry) challenge(q *http.Request, name string) (a faulty.Answer, ok bool) {
	field := ""
	switch r.opt.Auth {
	case Open:
		return a, true
	case Basic:
		if user, password, signs := q.BasicAuth(); signs && r.knows(user, password) {
			return a, true
		}
		field = `Basic realm="scripted"`
	case Bearer:
		narrow, good := r.holds(q, name)
		if good {
			return a, true
		}
		field = `Bearer realm="` + r.Tokens.URL + `/v2/token",service="scripted.example"`
		if name != "" {
			field += `,scope="repository:` + name + `:pull"`
		}
		if narrow {
			field += `,error="insufficient_scope"`
		}
	}
	a = refusal(http.StatusUnauthorized, "UNAUTHORIZED")
	a.Header.Set("WWW-Authenticate", field)
	return a, false
}

// holds reports whether a request brings a token that is good for pulling name,
// or one that is good and too narrow for that.
func (r *Registry) holds(q *http.Request, name string) (narrow, good bool) {
	secret, ok := strings.CutPrefix(q.Header.Get("Authorization"), "Bearer ")
	r.mu.Lock()
	defer r.mu.Unlock()
	g, known := r.tokens[secret]
	if !ok || !known || time.Now().After(g.until) {
		return false, false
	}
	if name == "" || slices.Contains(g.names, name) {
		return false, name == "" || r.images[name] != nil || !r.opt.Hides
	}
	return true, false
}

func encode(mediaType string, v any) faulty.Answer {
	body, err := json.Marshal(v)
	if err != nil {
		return refusal(http.StatusInternalServerError, "UNKNOWN")
	}
	return faulty.Answer{Status: http.StatusOK, Header: http.Header{"Content-Type": {mediaType}}, Body: body}
}
