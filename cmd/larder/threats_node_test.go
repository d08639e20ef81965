package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"larder/cache"
	"larder/policy"
	"larder/policy/token"
	"larder/upstream/upstreamtest/npmtest"
)

// TestThreat18NoSecretAnywhere: secrets that come in by every way are in no
// log, record, metric, listing or answer, and in no row but as a hash.
func TestThreat18NoSecretAnywhere(t *testing.T) {
	const upstreamSecret, password = "upstream-s3cret-token", "my-pa55word-of-elsewhere"
	l := liveServer(t, "log: {level: debug}\nupstreams: {second: {format: npm, url: 'http://user:"+upstreamSecret+"@127.0.0.1:9/'}, third: {format: npm, url: 'http://127.0.0.1:9/', auth: {type: bearer, token: "+upstreamSecret+"}}}\n"+
		"registries: {npm: {upstreams: [npm]}, two: {format: npm, upstreams: [second, third]}}\n")
	l.upstreamHas("left", "1.0.0")
	good, made := l.mint("admin", policy.Limits{}, policy.AllScopes()...)
	gone, _ := l.mint("admin", policy.Limits{}, policy.AllScopes()...)
	l.must(l.directory.RevokeToken(t.Context(), l.subject(l.admin), l.subject(gone).TokenID))
	unknown, err := token.New(token.Robot)
	l.must(err)
	secrets := []string{l.admin, good, gone, unknown.Reveal()}
	for _, secret := range secrets {
		for _, a := range leaky(secret, password) {
			for _, line := range append(carriers(secret), "X-Nothing: x", "Cookie: t="+secret, "Referer: http://x.example/?t="+secret, "User-Agent: "+secret, "X-Request-Id: "+secret, "Npm-Otp: "+secret) {
				l.later(3e9) // failures are slowed down
				got := l.ask(a.with(line))
				if strings.Contains(got.body+fmt.Sprint(got.header), secret[5:]) && !strings.Contains(a.path, "why") {
					t.Errorf("%s %s: the secret comes back: %.300s", a, line[:12], got.body)
				}
			}
		}
	}
	l.as(l.admin, ask{method: "DELETE", path: "/api/v1/tokens/" + made.ID})
	for _, path := range []string{"/api/v1/upstreams", "/api/v1/tokens", "/api/v1/audit", "/metrics", "/readyz", "/api/v1/whoami", "/npm/-/npm/v1/tokens", "/two/left", "/two/-/v1/search?text=x", "/debug/pprof/", "/debug/vars"} {
		got := l.as(l.admin, ask{method: "GET", path: path})
		l.silent(path, got.body, append(secrets, upstreamSecret, password))
		if strings.HasPrefix(path, "/debug") && got.status != 404 {
			t.Errorf("%s: %d", path, got.status)
		}
	}
	l.silent("the log", l.log.String(), append(secrets, upstreamSecret, password))
	for _, verb := range []string{"%v", "%+v", "%#v", "%d"} {
		l.silent("the configuration as "+verb, fmt.Sprintf(verb, l.cfg), []string{upstreamSecret})
	}
	l.must(l.index.View(t.Context(), func(r cache.Reader) error {
		for row, err := range r.Scan(nil, nil) {
			if err != nil {
				return err
			}
			l.silent(fmt.Sprintf("the row %q", row.Key), string(row.Key)+string(row.Value), append(secrets, upstreamSecret, password))
		}
		return nil
	}))
}

// silent fails where a text holds a secret, whole or but for its prefix, plain
// or as Basic writes it.
func (l *live) silent(what, text string, secrets []string) {
	l.t.Helper()
	for _, s := range secrets {
		for _, form := range []string{s[5:], base64.StdEncoding.EncodeToString([]byte("keeper:" + s)), fmt.Sprintf("%x", s)} {
			if at := strings.Index(text, form); at >= 0 {
				l.t.Errorf("a secret is in %s: …%q", what, text[max(0, at-120):min(len(text), at+len(form)+20)])
				return
			}
		}
	}
}

// leaky are requests that carry a secret where it might be written down.
func leaky(secret, password string) []ask {
	login := fmt.Sprintf(`{"_id":"org.couchdb.user:admin","name":"admin","password":%q}`, password)
	return []ask{
		{method: "GET", path: "/npm/left"}, {method: "GET", path: "/npm/left?token=" + secret}, {method: "GET", path: "/npm/" + secret}, {method: "GET", path: "/" + secret}, {method: "GET", path: "/npm/left/-/" + secret + ".tgz"},
		{method: "GET", path: "/r/" + secret + "/x/npm/left"}, {method: "GET", path: "/npm/-/v1/search?text=" + secret}, {method: "GET", path: "/npm/-/v1/login/" + secret},
		{method: "PUT", path: "/npm/-/user/org.couchdb.user:admin", body: login}, {method: "PUT", path: "/npm/-/user/org.couchdb.user:" + secret, body: login},
		{method: "POST", path: "/npm/-/npm/v1/security/advisories/bulk", body: `{"` + secret + `":["1.0.0"]}`},
		{method: "PUT", path: "/npm/" + secret, body: `{"_id":"` + secret + `"}`}, {method: "BREW", path: "/npm/" + secret},
		{method: "GET", path: "/api/v1/users/" + secret}, {method: "GET", path: "/api/v1/package?purl=pkg:npm/" + secret}, {method: "DELETE", path: "/api/v1/tokens/" + secret + "x"},
		{method: "GET", path: "/ui/login/" + secret}, {method: "POST", path: "/ui/login/x", header: []string{"Content-Type: application/x-www-form-urlencoded"}, body: "token=" + password},
	}
}

// TestThreat23Bombs: what unpacks or nests without end is refused, and costs
// neither memory nor the server.
func TestThreat23Bombs(t *testing.T) {
	l := liveServer(t, "")
	deep := strings.Repeat("[", 200_000) + strings.Repeat("]", 200_000)
	zeros := make([]byte, 1<<20)
	squeeze := func(fn func(w io.Writer)) []byte {
		var out bytes.Buffer
		z := gzip.NewWriter(&out)
		fn(z)
		l.must(z.Close())
		return out.Bytes()
	}
	bomb := squeeze(func(w io.Writer) {
		archive := tar.NewWriter(w)
		l.must(archive.WriteHeader(&tar.Header{Name: "package/zeros", Size: 512 << 20, Mode: 0o644}))
		for range 512 {
			_, _ = archive.Write(zeros)
		}
	})
	headers := squeeze(func(w io.Writer) {
		archive := tar.NewWriter(w)
		for range 70_000 {
			l.must(archive.WriteHeader(&tar.Header{Name: "package/" + strings.Repeat("d/", 40) + "x", Mode: 0o644}))
		}
	})
	records := squeeze(func(w io.Writer) {
		l.must(tar.NewWriter(w).WriteHeader(&tar.Header{Name: "package/x", Mode: 0o644, PAXRecords: map[string]string{"LARDER.x": strings.Repeat("x", 900<<10)}}))
	})
	var tooDeep bytes.Buffer
	fmt.Fprintf(&tooDeep, `{"_id":"x","name":"x","versions":%s}`, deep)
	list := map[string]ask{
		"a bomb in a tarball":   {method: "PUT", path: "/npm/x", body: npmWith(t, bomb)},
		"headers without end":   {method: "PUT", path: "/npm/x", body: npmWith(t, headers)},
		"records without end":   {method: "PUT", path: "/npm/x", body: npmWith(t, records)},
		"a document that nests": {method: "PUT", path: "/npm/x", body: tooDeep.String()},
		"an audit that nests":   {method: "POST", path: "/npm/-/npm/v1/security/audits/quick", body: `{"requires":{},"dependencies":` + strings.Repeat(`{"a":{"dependencies":`, 50_000) + "{}" + strings.Repeat("}}", 50_000) + "}"},
		"an audit that unpacks": {method: "POST", path: "/npm/-/npm/v1/security/advisories/bulk", header: []string{"Content-Encoding: gzip"}, body: string(squeeze(func(w io.Writer) {
			for range 512 {
				_, _ = w.Write(zeros)
			}
		}))},
		"a call that nests":    {method: "POST", path: "/api/v1/users", body: `{"name":` + deep + `}`},
		"a call without end":   {method: "POST", path: "/api/v1/users", body: `{"name":"` + strings.Repeat("x", 8<<20) + `"}`},
		"a body that is coded": {method: "PUT", path: "/npm/x", header: []string{"Content-Encoding: br"}, body: "{}"},
		"tags without end":     {method: "PUT", path: "/npm/-/package/x/dist-tags/a", body: `"` + strings.Repeat("x", 8<<20) + `"`},
	}
	for name, a := range list {
		var status int
		used := peak(func() { status = l.statusOf(a) })
		if status < 400 || status >= 500 {
			t.Errorf("%s: %s %s: %d", name, a.method, a.path, status)
		}
		if used > 64<<20 {
			t.Errorf("%s: the heap grew by %d MiB", name, used>>20)
		}
	}
	l.want(404, l.admin, ask{method: "GET", path: "/npm/x"})
	l.want(201, l.admin, ask{method: "PUT", path: "/npm/x", body: npmPublication(t, "x", "1.0.0")})
}

// statusOf is the status of a request whose body the server need not read to its
// end: 413 where it hung up instead, before its answer could be read.
func (l *live) statusOf(a ask) int {
	l.t.Helper()
	r, err := http.NewRequest(a.method, l.url+a.path, strings.NewReader(a.body))
	l.must(err)
	for _, line := range append(a.header, bearer(l.admin), "Content-Type: application/json") {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	w, err := l.client.Do(r)
	if err != nil {
		return http.StatusRequestEntityTooLarge
	}
	l.must(w.Body.Close())
	return w.StatusCode
}

// npmWith is a publish of x@1.0.0 with any bytes for its tarball.
func npmWith(t *testing.T, tarball []byte) string {
	t.Helper()
	body, err := npmtest.PublishBody(map[string]any{"name": "x", "version": "1.0.0"}, tarball, "latest")
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// peak is by how much the heap grows while fn runs, garbage left out.
func peak(fn func()) int64 {
	live := func() int64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	runtime.GC()
	before, most, done, seen := live(), int64(0), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(seen)
		for {
			select {
			case <-done:
				return
			default:
			}
			time.Sleep(2 * time.Millisecond) // for what is watched to get on
			runtime.GC()                     // what is left then is held
			most = max(most, live()-before)
		}
	}()
	fn()
	close(done)
	<-seen
	return most
}

// TestThreat27SlowSocketsKeepNobodyOut: while hundreds of connections say next
// to nothing, others are served.
func TestThreat27SlowSocketsKeepNobodyOut(t *testing.T) {
	l := liveServer(t, "")
	file := ask{method: "GET", path: "/npm/slow/-/slow-1.0.0.tgz"}
	l.upstreamHas("slow", "1.0.0")
	host := strings.TrimPrefix(l.url, "http://")
	for i, begun := range []string{"GET /npm/slow HT", "", "GET / HTTP/1.1\r\nHost: x\r\nX-A: ", "PUT /npm/x HTTP/1.1\r\nHost: " + host + "\r\nAuthorization: Bearer " + l.admin + "\r\nContent-Length: 100000\r\n\r\n{", "POST /npm/-/v1/login HTTP/1.1\r\nHost: " + host + "\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{"} {
		for range 100 {
			conn, err := net.Dial("tcp", host)
			l.must(err)
			defer conn.Close()
			_, err = io.WriteString(conn, begun)
			l.must(err)
		}
		l.want(200, "", file)
		l.want(200, "", ask{method: "GET", path: "/healthz"})
		l.want(201, l.admin, ask{method: "PUT", path: "/npm/own", body: npmPublication(t, "own", fmt.Sprintf("1.0.%d", i))})
	}
}

// TestThreat28TokensAreFoundByTheirHash: a guess that is nearly right is as wrong
// as any, in the same words, and nothing that is stored can be compared with it.
func TestThreat28TokensAreFoundByTheirHash(t *testing.T) {
	l := liveServer(t, "")
	good, _ := l.mint("admin", policy.Limits{}, policy.AllScopes()...)
	far, err := token.New(token.Personal)
	l.must(err)
	want := l.want(401, far.Reveal(), ask{method: "GET", path: "/api/v1/whoami", header: []string{"X-Request-Id: one"}}).told("", "\x00")
	near := 0
	for at := 5; at < 35; at++ { // of the random part; its checksum is made right again
		body := []byte(good[5:35])
		body[at-5] = base62[(strings.IndexByte(base62, body[at-5])+1)%len(base62)]
		guess := good[:5] + string(body) + checksum(string(body))
		if _, err := token.Parse(guess); err != nil {
			t.Fatalf("no token: %v", err)
		}
		l.later(3e9)
		if got := l.want(401, guess, ask{method: "GET", path: "/api/v1/whoami", header: []string{"X-Request-Id: one"}}).told("", "\x00"); got == want {
			near++
		}
	}
	if near != 30 {
		t.Errorf("%d of 30 guesses were told the same as any other", near)
	}
}

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// checksum is that of a token's random part (policy.md section 3).
func checksum(body string) string {
	out, v := []byte("000000"), crc32.ChecksumIEEE([]byte(body))
	for i := len(out) - 1; v > 0; i-- {
		out[i] = base62[v%62]
		v /= 62
	}
	return string(out)
}

// TestThreat31NothingToGuess: a fresh server has one credential, which is in one
// file that its owner alone reads, and in no log; a start later makes no other.
func TestThreat31NothingToGuess(t *testing.T) {
	l := liveServer(t, "")
	file := filepath.Join(l.cfg.Data, "admin.token")
	info, err := os.Stat(file)
	l.must(err)
	text, err := os.ReadFile(file)
	l.must(err)
	if info.Mode().Perm() != 0o600 || string(text) != l.admin+"\n" {
		t.Errorf("mode %v, %d bytes", info.Mode(), len(text))
	}
	if strings.Contains(l.log.String(), l.admin[5:]) || !strings.Contains(l.log.String(), file) {
		t.Errorf("the log must name the file, and not the token: %s", l.log)
	}
	for _, secret := range []string{"admin", "password", "larder", "changeme", "root", "token", "ldrp_", "ldrp_" + strings.Repeat("0", 36), "ldrp_" + strings.Repeat("0", 30) + checksum(strings.Repeat("0", 30)), "", "null", "undefined", "Bearer", "anonymous"} {
		for _, line := range carriers(secret) {
			l.later(3e9)
			if got := l.ask(ask{method: "GET", path: "/api/v1/whoami", header: []string{line}}); got.status != 401 {
				t.Errorf("%q as %q: %d", secret, line, got.status)
			}
		}
		l.later(3e9)
		l.want(401, "", ask{method: "PUT", path: "/npm/-/user/org.couchdb.user:admin", body: fmt.Sprintf(`{"name":"admin","password":%q}`, secret)})
	}
	created, err := l.directory.Bootstrap(context.Background(), file)
	again, readErr := os.ReadFile(file)
	if err != nil || readErr != nil || created || string(again) != string(text) {
		t.Errorf("a second start made another token: %v, %v, %v", created, err, readErr)
	}
}
