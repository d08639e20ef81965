package ocitest

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"larder/upstream/upstreamtest/faulty"
)

func started(t *testing.T, opt Options) *Registry {
	t.Helper()
	r, err := Start(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// ask sends one request and follows no redirect. fields are names and values.
func ask(t *testing.T, method, address string, fields ...string) (*http.Response, []byte, error) {
	t.Helper()
	return faulty.Question{Method: method, URL: address, Fields: fields}.Ask(t.Context())
}

// want asks and checks the status.
func want(t *testing.T, status int, method, address string, fields ...string) (http.Header, []byte) {
	t.Helper()
	w, body, err := ask(t, method, address, fields...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, address, err)
	}
	if w.StatusCode != status {
		t.Errorf("%s %s: %d %s, want %d", method, address, w.StatusCode, body, status)
	}
	return w.Header, body
}

func pushed(t *testing.T, r *Registry, name, tag string, im Image) Descriptor {
	t.Helper()
	d, err := r.Push(name, tag, im)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestPull(t *testing.T) {
	r := started(t, Options{})
	layer := bytes.Repeat([]byte("layer "), 100)
	d := pushed(t, r, "acme/app", "v1", Image{Layers: [][]byte{layer}})
	want(t, 200, "GET", r.URL+"/v2/")
	h, body := want(t, 200, "GET", r.URL+"/v2/acme/app/manifests/v1")
	if Digest(body) != d.Digest || h.Get("Docker-Content-Digest") != d.Digest || h.Get("Content-Type") != TypeImage {
		t.Errorf("manifest %s with %v, want %s", body, h, d.Digest)
	}
	var doc document
	if err := json.Unmarshal(body, &doc); err != nil || len(*doc.Layers) != 1 {
		t.Fatalf("%s: %v", body, err)
	}
	if _, same := want(t, 200, "GET", r.URL+"/v2/acme/app/manifests/"+d.Digest); !bytes.Equal(same, body) {
		t.Errorf("by digest: %s", same)
	}
	want(t, 200, "GET", r.URL+"/v2/acme/app/manifests/"+Digest512(body))
	if h, none := want(t, 200, "HEAD", r.URL+"/v2/acme/app/manifests/v1"); len(none) > 0 || h.Get("Content-Length") != fmt.Sprint(len(body)) {
		t.Errorf("HEAD: %v", h)
	}
	want(t, 304, "HEAD", r.URL+"/v2/acme/app/manifests/v1", "If-None-Match", `"`+d.Digest+`"`)
	blob := r.URL + "/v2/acme/app/blobs/" + (*doc.Layers)[0].Digest
	if _, got := want(t, 200, "GET", blob); !bytes.Equal(got, layer) {
		t.Errorf("layer %q", got)
	}
	for field, part := range map[string][]byte{"bytes=590-": layer[590:], "bytes=0-9": layer[:10], "bytes=-5": layer[595:], "bytes=590-9999": layer[590:]} {
		if h, got := want(t, 206, "GET", blob, "Range", field); !bytes.Equal(got, part) || !strings.HasSuffix(h.Get("Content-Range"), "/600") {
			t.Errorf("%s: %q %v", field, got, h)
		}
	}
	want(t, 416, "GET", blob, "Range", "bytes=600-")
	want(t, 200, "GET", blob, "Range", "bytes=5-", "If-Range", `"other"`)
	for path, status := range map[string]int{
		"/v2/acme/app/manifests/v2": 404, "/v2/other/manifests/v1": 404, "/v2/other/app/blobs/" + d.Digest: 404, "/v2/acme/app/blobs/" + d.Digest: 404,
		"/v2/acme/app/nothing/x": 404, "/v2/x": 404, "/other": 404,
	} {
		want(t, status, "GET", r.URL+path)
	}
	want(t, 405, "PUT", r.URL+"/v2/acme/app/manifests/v1")
	r.Forget()
	want(t, 200, "GET", blob)
	if log := r.Log("/v2/acme/app/blobs/"); len(log) != 1 || log[0].Method != "GET" {
		t.Errorf("log %v", log)
	}
}

// TestDiffIDs: clients compare what is packed in layers with what the config says.
func TestDiffIDs(t *testing.T) {
	r := started(t, Options{})
	plain := []byte("what is in the layer")
	var layer bytes.Buffer
	packed := gzip.NewWriter(&layer)
	if _, err := packed.Write(plain); err != nil || packed.Close() != nil {
		t.Fatal(err)
	}
	pushed(t, r, "acme/app", "v1", Image{Layers: [][]byte{layer.Bytes(), plain}})
	_, body := want(t, 200, "GET", r.URL+"/v2/acme/app/manifests/v1")
	var doc document
	if err := json.Unmarshal(body, &doc); err != nil {
		t.Fatal(err)
	}
	_, config := want(t, 200, "GET", r.URL+"/v2/acme/app/blobs/"+doc.Config.Digest)
	if ids := fmt.Sprintf(`"diff_ids":[%q,%q]`, Digest(plain), Digest(plain)); !strings.Contains(string(config), ids) {
		t.Errorf("config %s, want %s", config, ids)
	}
}

func TestChanges(t *testing.T) {
	r := started(t, Options{})
	one := pushed(t, r, "a", "t", Image{})
	two := pushed(t, r, "a", "t", Image{Platform: Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}})
	all, err := r.PushIndex("a", "all", one, two)
	if err != nil {
		t.Fatal(err)
	}
	_, body := want(t, 200, "GET", r.URL+"/v2/a/manifests/all")
	if !strings.Contains(string(body), `"variant":"v8"`) || Digest(body) != all.Digest {
		t.Errorf("index %s", body)
	}
	digestOf := func(ref string) string {
		h, _ := want(t, 200, "HEAD", r.URL+"/v2/a/manifests/"+ref)
		return h.Get("Docker-Content-Digest")
	}
	if digestOf("t") != two.Digest {
		t.Error("the tag did not move")
	}
	r.Tag("a", "t", one.Digest)
	if digestOf("t") != one.Digest {
		t.Error("the tag did not move back")
	}
	r.Remove("a", "t")
	want(t, 404, "GET", r.URL+"/v2/a/manifests/t")
	want(t, 200, "GET", r.URL+"/v2/a/manifests/"+one.Digest)
	r.Remove("a", one.Digest)
	want(t, 404, "GET", r.URL+"/v2/a/manifests/"+one.Digest)
	r.Remove("a", "")
	want(t, 404, "GET", r.URL+"/v2/a/manifests/"+two.Digest)
	odd, err := r.PushManifest("a", "odd", "application/x", []byte("no manifest"))
	if err != nil {
		t.Fatal(err)
	}
	if h, body := want(t, 200, "GET", r.URL+"/v2/a/manifests/odd"); string(body) != "no manifest" || h.Get("Content-Type") != "application/x" || odd.Size != 11 {
		t.Errorf("%q, %v, %+v", body, h, odd)
	}
}

func TestLists(t *testing.T) {
	r := started(t, Options{PageSize: 3})
	for i := range 7 {
		pushed(t, r, "acme/app", fmt.Sprintf("v%d", i), Image{})
		pushed(t, r, fmt.Sprintf("other/%d", i), "", Image{})
	}
	for _, c := range []struct{ path, field, want string }{
		{"/v2/acme/app/tags/list", "tags", "v0 v1 v2|v3 v4 v5|v6"},
		{"/v2/acme/app/tags/list?n=2&last=v2", "tags", "v3 v4|v5 v6"},
		{"/v2/acme/app/tags/list?n=0", "tags", ""},
		{"/v2/_catalog?n=99", "repositories", "acme/app other/0 other/1|other/2 other/3 other/4|other/5 other/6"},
	} {
		var pages []string
		for next := c.path; next != ""; {
			h, body := want(t, 200, "GET", r.URL+next)
			var doc map[string]any
			if err := json.Unmarshal(body, &doc); err != nil {
				t.Fatal(err)
			}
			pages = append(pages, strings.Trim(fmt.Sprint(doc[c.field]), "[]"))
			next, _, _ = strings.Cut(strings.TrimPrefix(h.Get("Link"), "<"), ">")
		}
		if got := strings.Join(pages, "|"); got != c.want {
			t.Errorf("%s: %s, want %s", c.path, got, c.want)
		}
	}
}

func TestReferrers(t *testing.T) {
	for _, none := range []bool{false, true} {
		r := started(t, Options{NoReferrers: none})
		subject := pushed(t, r, "a", "v1", Image{})
		pushed(t, r, "a", "", Image{Subject: &subject, ArtifactType: "a/sbom", Annotations: map[string]string{"k": "v"}})
		pushed(t, r, "a", "", Image{Subject: &subject})
		address, status := r.URL+"/v2/a/referrers/"+subject.Digest, 200
		if none {
			want(t, 404, "GET", address)
			address = r.URL + "/v2/a/manifests/" + strings.Replace(subject.Digest, ":", "-", 1)
		}
		h, body := want(t, status, "GET", address)
		var doc document
		if err := json.Unmarshal(body, &doc); err != nil || len(*doc.Manifests) != 2 || h.Get("Content-Type") != TypeIndex {
			t.Fatalf("list %s (%v)", body, err)
		}
		if !strings.Contains(string(body), `"artifactType":"a/sbom","annotations":{"k":"v"}`) || !strings.Contains(string(body), TypeConfig) {
			t.Errorf("list %s", body)
		}
		if none {
			continue
		}
		h, body = want(t, 200, "GET", address+"?artifactType=a/sbom")
		if strings.Count(string(body), "sha256:") != 1 || h.Get("OCI-Filters-Applied") != "artifactType" {
			t.Errorf("filtered %s, %v", body, h)
		}
		if _, body := want(t, 200, "GET", r.URL+"/v2/a/referrers/"+Digest(nil)); !strings.Contains(string(body), `"manifests":[]`) {
			t.Errorf("of nothing: %s", body)
		}
	}
}

func TestBasic(t *testing.T) {
	r := started(t, Options{Auth: Basic, User: "u", Password: "p"})
	pushed(t, r, "a", "v1", Image{})
	h, _ := want(t, 401, "GET", r.URL+"/v2/a/manifests/v1")
	if !strings.HasPrefix(h.Get("WWW-Authenticate"), "Basic ") {
		t.Errorf("challenge %v", h)
	}
	for who, status := range map[string]int{"u:p": 200, "u:q": 401, "v:p": 401} {
		address := strings.Replace(r.URL, "http://", "http://"+who+"@", 1)
		q, err := http.NewRequest("GET", address+"/v2/a/manifests/v1", nil)
		if err != nil {
			t.Fatal(err)
		}
		password, _ := q.URL.User.Password()
		q.SetBasicAuth(q.URL.User.Username(), password)
		want(t, status, "GET", r.URL+"/v2/a/manifests/v1", "Authorization", q.Header.Get("Authorization"))
	}
}

// tokenFrom asks the token service as a challenge says.
func tokenFrom(t *testing.T, challenge string, fields ...string) string {
	t.Helper()
	params := map[string]string{}
	for part := range strings.SplitSeq(strings.TrimPrefix(challenge, "Bearer "), ",") {
		key, value, _ := strings.Cut(part, "=")
		params[key] = strings.Trim(value, `"`)
	}
	_, body := want(t, 200, "GET", params["realm"]+"?"+url.Values{"service": {params["service"]}, "scope": {params["scope"]}}.Encode(), fields...)
	var answer struct {
		Token string `json:"token"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Token == "" {
		t.Fatalf("token answer %s: %v", body, err)
	}
	return "Bearer " + answer.Token
}

func TestBearer(t *testing.T) {
	for _, elsewhere := range []bool{false, true} {
		r := started(t, Options{Auth: Bearer, Guests: true, User: "u", Password: "p", RealmElsewhere: elsewhere, Hides: true})
		pushed(t, r, "a/b", "v1", Image{})
		pushed(t, r, "c", "v1", Image{})
		address := r.URL + "/v2/a/b/manifests/v1"
		h, _ := want(t, 401, "GET", address)
		challenge := h.Get("WWW-Authenticate")
		if !strings.Contains(challenge, `scope="repository:a/b:pull"`) || strings.Contains(challenge, "error=") || strings.Contains(challenge, r.URL) == elsewhere {
			t.Errorf("challenge %s of %s", challenge, r.URL)
		}
		token := tokenFrom(t, challenge)
		want(t, 200, "GET", address, "Authorization", token)
		h, _ = want(t, 401, "GET", r.URL+"/v2/c/manifests/v1", "Authorization", token)
		if !strings.HasSuffix(h.Get("WWW-Authenticate"), `error="insufficient_scope"`) {
			t.Errorf("challenge %v", h)
		}
		r.ExpireTokens()
		want(t, 401, "GET", address, "Authorization", token)
		want(t, 401, "GET", r.Tokens.URL+"/v2/token", "Authorization", "Basic eDp5")
		// Programs without a credential send an empty one: those are guests.
		want(t, 200, "GET", address, "Authorization", tokenFrom(t, challenge, "Authorization", "Basic Og=="))
		token = tokenFrom(t, challenge, "Authorization", "Basic dTpw")
		want(t, 200, "GET", address, "Authorization", token)
		h, _ = want(t, 401, "GET", r.URL+"/v2/nosuch/manifests/v1")
		want(t, 401, "GET", r.URL+"/v2/nosuch/manifests/v1", "Authorization", tokenFrom(t, h.Get("WWW-Authenticate")))
		if n := len(r.Tokens.Log("/v2/token")); n != 5 {
			t.Errorf("%d requests for tokens", n)
		}
	}
}

func TestTokenForms(t *testing.T) {
	r := started(t, Options{Auth: Bearer, Password: "p", TokenLives: 90 * time.Second})
	pushed(t, r, "a", "v1", Image{})
	post := func(form string) (int, string) {
		w, err := http.Post(r.URL+"/v2/token", "application/x-www-form-urlencoded", strings.NewReader(form))
		if err != nil {
			t.Fatal(err)
		}
		defer w.Body.Close()
		body, err := io.ReadAll(w.Body)
		if err != nil {
			t.Fatal(err)
		}
		return w.StatusCode, string(body)
	}
	status, body := post("grant_type=password&username=u&password=p&scope=repository:a:push,pull+repository:b:*")
	if status != 200 || !strings.Contains(body, `"expires_in":90`) {
		t.Errorf("%d %s", status, body)
	}
	for form, want := range map[string]int{
		"grant_type=password&username=u&password=q": 401, "grant_type=refresh_token": 400, "grant_type=password": 401, "%zz": 400,
	} {
		if status, _ := post(form); status != want {
			t.Errorf("%s: %d", form, status)
		}
	}
	// Nobody's token is given, and good for nothing: guests are not let in.
	h, _ := want(t, 401, "GET", r.URL+"/v2/a/manifests/v1")
	want(t, 401, "GET", r.URL+"/v2/a/manifests/v1", "Authorization", tokenFrom(t, h.Get("WWW-Authenticate")))
	if got := pulled([]string{"repository:a:b:pull repository:c:push", "repository:d:*", "junk"}); fmt.Sprint(got) != "[a:b d]" {
		t.Errorf("pulled %q", got)
	}
	short := started(t, Options{Auth: Bearer, Guests: true, TokenLives: time.Nanosecond, NoExpiry: true})
	_, answer := want(t, 200, "GET", short.URL+"/v2/token")
	if strings.Contains(string(answer), "expires_in") {
		t.Errorf("answer %s", answer)
	}
	want(t, 401, "GET", short.URL+"/v2/", "Authorization", tokenFrom(t, `Bearer realm="`+short.URL+`/v2/token"`))
}

func TestRedirects(t *testing.T) {
	r := started(t, Options{Redirects: true, NoDigest: true})
	d := r.PushBlob("a/b", TypeLayer, []byte("0123456789"))
	empty := r.PushBlob("a/b", TypeLayer, nil)
	address := r.URL + "/v2/a/b/blobs/" + d.Digest
	want(t, 200, "HEAD", address)
	h, _ := want(t, 307, "GET", address)
	link := h.Get("Location")
	if !strings.HasPrefix(link, r.Blobs.URL+"/") || r.Blobs.URL == r.URL {
		t.Fatalf("sent to %s", link)
	}
	if _, body := want(t, 206, "GET", link, "Range", "bytes=8-"); string(body) != "89" {
		t.Errorf("part %q", body)
	}
	want(t, 400, "GET", link, "Authorization", "Bearer leaked")
	r.ExpireLinks()
	want(t, 403, "GET", link)
	h, _ = want(t, 307, "GET", address)
	want(t, 200, "GET", h.Get("Location"))
	h, _ = want(t, 307, "GET", r.URL+"/v2/a/b/blobs/"+empty.Digest)
	want(t, 200, "GET", h.Get("Location"))
	want(t, 404, "GET", strings.Replace(h.Get("Location"), "sha256:", "sha256:0", 1))
	if log := r.Blobs.Log("/a/b/"); len(log) != 6 || log[1].Header.Get("Authorization") != "Bearer leaked" {
		t.Errorf("log %v", log)
	}
	pushed(t, r, "a/b", "v1", Image{})
	if h, _ := want(t, 200, "HEAD", r.URL+"/v2/a/b/manifests/v1"); h.Get("Docker-Content-Digest") != "" {
		t.Errorf("a digest in spite of NoDigest: %v", h)
	}
	r.Forget()
	if len(r.Log(""))+len(r.Blobs.Log("")) != 0 {
		t.Error("logs are not empty")
	}
}

func TestDownAndUp(t *testing.T) {
	r := started(t, Options{Auth: Bearer, Guests: true, Redirects: true, RealmElsewhere: true})
	addresses := []string{r.URL, r.Blobs.URL, r.Tokens.URL}
	r.Down()
	for _, a := range addresses {
		if _, _, err := ask(t, "GET", a); err == nil {
			t.Errorf("%s answers while down", a)
		}
	}
	if err := r.Up(); err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if _, _, err := ask(t, "GET", a); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
}
