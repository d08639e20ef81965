package proxy

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"larder/policy"
)

func TestAccessLine(t *testing.T) {
	w := newWorld(t, nil)
	w.do("GET", "/r/acme/tools/pad/%40s%2fa/1?token=planted-secret", nil, "Authorization: Bearer alice-token",
		"User-Agent: npm/10.1 node/v22", "X-Request-Id: abc-1")
	var line map[string]any
	if err := json.Unmarshal([]byte(w.log.String()), &line); err != nil {
		t.Fatalf("not one JSON line: %v: %s", err, w.log)
	}
	for key, want := range map[string]any{
		"level": "info", "message": "request", "request_id": "abc-1", "remote": "192.0.2.1", "user": "alice", "token": "id-alice", "method": "GET",
		"path": "/r/acme/tools/pad/%40s%2fa/1", "registry": "pad", "repository": "acme/tools", "format": "plain", "op": "file",
		"action": "read", "package": "@s/a", "version": "1", "status": 200.0, "bytes": 6.0, "cache": "hit", "agent": "npm",
	} {
		if line[key] != want {
			t.Errorf("%s: %v, want %v", key, line[key], want)
		}
	}
	if _, ok := line["duration_ms"].(float64); !ok {
		t.Errorf("duration_ms: %v", line["duration_ms"])
	}
	o := w.metrics.ended[0]
	if w.metrics.began != 1 || o.Format != "plain" || o.Op != "file" || o.Method != "GET" || o.Status != 200 || o.Bytes != 6 || o.Result != "hit" {
		t.Errorf("observed %d, %+v", w.metrics.began, o)
	}
}

func TestThreat18NoSecretsInTheLog(t *testing.T) {
	const planted = "ldrp_0123456789abcdefghijABCDEFGHIJ012345"
	w := newWorld(t, func(o *Options) {
		o.Handlers = map[string]http.Handler{"ui": http.NotFoundHandler()}
	})
	for _, target := range []string{
		"/pad/" + planted + "/1", "/pad/-/whoami?t=" + planted, "/pad/x/ldrp%5F" + planted[5:], "/nosuch/" + planted, "/" + planted,
		"/pad/a/1?" + planted, "/ui/login/one-time-code", "/pad/a/%00" + planted, "/pad/a/x" + planted + planted,
	} {
		w.do("GET", target, nil, "Authorization: Bearer "+planted, "X-Request-Id: "+planted, "User-Agent: "+planted)
		w.do("GET", target, nil, "X-Request-Id: "+planted)
	}
	for _, secret := range []string{planted[5:], "one-time-code"} {
		if strings.Contains(w.log.String(), secret) {
			t.Errorf("%s is in the log:\n%s", secret, w.log)
		}
	}
}

func TestAccountCallsLogNoPath(t *testing.T) {
	w := newWorld(t, nil)
	w.do("GET", "/pad/-/whoami", nil)
	if !strings.Contains(w.log.String(), `"path":"/pad/…"`) {
		t.Errorf("log: %s", w.log)
	}
}

func TestAgent(t *testing.T) {
	for in, want := range map[string]string{
		"npm/10 node/22": "npm", "Apache-Maven/3.9 (Java)": "Apache-Maven", "": "", "a b": "a", "evil\x00": "evil",
		strings.Repeat("x", 99): strings.Repeat("x", 32),
	} {
		if got := agent([]string{in}); got != want {
			t.Errorf("agent(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestMethodLabelsAreBounded(t *testing.T) {
	w := newWorld(t, nil)
	w.do("BREW", "/pad/a/1", nil)
	if got := w.metrics.ended[0].Method; got != "OTHER" {
		t.Errorf("method label %q", got)
	}
}

func TestRequestID(t *testing.T) {
	w := newWorld(t, nil)
	seen := map[string]bool{}
	for _, sent := range []string{"", "a b", "x\"y", strings.Repeat("a", 129), "ldrp_abc", "ü"} {
		var lines []string
		if sent != "" {
			lines = append(lines, "X-Request-Id: "+sent)
		}
		id := w.do("GET", "/pad/a/1", nil, lines...).Header.Get("X-Request-Id")
		if id == "" || id == sent || seen[id] {
			t.Errorf("sent %q, got %q", sent, id)
		}
		seen[id] = true
	}
	if id := w.do("GET", "/nosuch", nil, "X-Request-Id: 0b5f-A.z_9").Header.Get("X-Request-Id"); id != "0b5f-A.z_9" {
		t.Errorf("a sane id became %q", id)
	}
}

// The access line is on the hit path: it must not allocate more than its path
// and address need.
func TestAccessLineAllocations(t *testing.T) {
	r := httptest.NewRequest("GET", "/pad/left-pad/1.0.0", nil)
	r.Header.Set("User-Agent", "npm/10")
	e := &edge{Options: Options{Log: zerolog.New(io.Discard)}, ids: newRequestIDs()}
	x := e.begin(httptest.NewRecorder(), r)
	x.remote = parseAddr("192.0.2.1:1")
	x.caller = policy.Subject{User: "alice", TokenID: "id"}
	x.at(fakeMount{name: "pad"}, "/pad/", nil)
	x.req.Op, x.req.Action, x.req.Package = "file", policy.Read, "left-pad"
	if n := testing.AllocsPerRun(200, func() { x.record(nil, false) }); n > 2 {
		t.Errorf("%v allocations per access line, want at most 2", n)
	}
}
