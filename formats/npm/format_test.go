package npm

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"larder/formats"
	"larder/formats/formattest"
	"larder/policy"
)

// fixed answers documents and files with fixed bytes.
type fixed struct{ formattest.Refusing }

func (fixed) Document(_ context.Context, d formats.Document) (*formats.Content, error) {
	return &formats.Content{Bytes: []byte(`{"latest":"1.0.0"}`), Size: 18, MediaType: d.MediaType, ETag: `"d"`, Result: formats.Hit}, nil
}

func (fixed) File(_ context.Context, f formats.File) (*formats.Content, error) {
	c := &formats.Content{Size: int64(len(f.Name)), MediaType: f.MediaType, ETag: `"f"`, Result: formats.Hit, Immutable: true}
	if !f.Head {
		c.Bytes = []byte(f.Name)
	}
	return c, nil
}

// TestFormat: what every format must pass, with a request of each kind and what
// it asks of policy.
func TestFormat(t *testing.T) {
	var samples []formattest.Sample
	add := func(method, target string, op Op, action policy.Action, pkg string, header ...string) {
		s := formattest.Sample{
			Name: method + " " + target + strings.Join(header, " "), Method: method, Target: target,
			Want: formats.Request{Op: string(op), Action: action, Package: pkg},
		}
		if len(header) == 2 {
			s.Header = http.Header{http.CanonicalHeaderKey(header[0]): {header[1]}}
		}
		s.Serve = method == http.MethodGet && (op == opPackument || op == opTarball || op == opTags || op == opManifest || op == opPing)
		samples = append(samples, s)
	}
	add("GET", "/-/ping", opPing, policy.Open, "")
	add("GET", "/left-part", opPackument, policy.Read, "left-part")
	add("GET", "/@acme%2fwidget", opPackument, policy.Read, "@acme/widget")
	add("GET", "/@acme%2fwidget", opPackument, policy.Read, "@acme/widget", "Accept", mediaAbbreviated)
	add("GET", "/left-part/1.0.0", opManifest, policy.Read, "left-part")
	add("GET", "/left-part/-/left-part-1.0.0.tgz", opTarball, policy.Read, "left-part")
	add("GET", "/@acme/widget/-/widget-1.0.0.tgz", opTarball, policy.Read, "@acme/widget")
	add("GET", "/-/package/left-part/dist-tags", opTags, policy.Read, "left-part")
	add("GET", "/-/v1/search?text=x", opSearch, policy.Read, "")
	add("GET", "/-/npm/v1/keys", opKeys, policy.Read, "")
	add("POST", "/-/npm/v1/security/advisories/bulk", opAuditBulk, policy.Read, "")
	add("PUT", "/left-part", opPut, policy.Publish, "left-part")
	add("PUT", "/left-part", opPut, policy.Self, "left-part", "npm-command", "star")
	add("PUT", "/left-part/-rev/1", opPutRev, policy.Publish, "left-part")
	add("PUT", "/left-part/-rev/1", opPutRev, policy.Delete, "left-part", "npm-command", "unpublish")
	add("PUT", "/left-part/-rev/1", opPutRev, policy.Settings, "left-part", "npm-command", "owner")
	add("DELETE", "/left-part/-rev/1", opDelete, policy.Delete, "left-part")
	add("DELETE", "/left-part/-/left-part-1.0.0.tgz/-rev/1", opDeleteTarball, policy.Delete, "left-part")
	add("PUT", "/-/package/left-part/dist-tags/beta", opTagSet, policy.Publish, "left-part")
	add("DELETE", "/-/package/left-part/dist-tags/beta", opTagDelete, policy.Publish, "left-part")
	add("POST", "/-/package/left-part/access", opAccess, policy.Settings, "left-part")
	add("GET", "/-/whoami", opWhoami, policy.Self, "")
	add("GET", "/-/npm/v1/tokens", opTokens, policy.Self, "")
	add("PUT", "/-/user/org.couchdb.user:alice", opLogin, policy.Open, "")
	add("DELETE", "/-/user/token/ldrp_x", opLogout, policy.Self, "")
	formattest.Run(t, formattest.Suite{
		Format: New(Options{}), Registry: fixed{formattest.Refusing{Err: policy.ErrDenied}}, Samples: samples,
	})
}

// TestEveryRouteIsAnswered: no path of the protocol falls through to the
// engine's fixed sentence, and none is served without an action.
func TestEveryRouteIsAnswered(t *testing.T) {
	f := New(Options{})
	if action("of-tomorrow", "") != "" {
		t.Error("an operation without an action of its own has one")
	}
	for _, route := range routes {
		for method, op := range route.ops {
			if action(op, "") == "" {
				t.Errorf("%s %s has no action", method, op)
			}
			s := &serving{Format: f, Call: &formats.Call{}, t: Target{Op: op}, r: httptest.NewRequest(method, "/", nil)}
			answered := s.reads() != nil || s.writes() != nil || s.accounts() != nil
			if answered == missingOn(op) {
				t.Errorf("%s: answered %v, known as not offered %v", op, answered, missingOn(op))
			}
		}
	}
}

// missingOn says which operations are known and answered with a 404.
func missingOn(op Op) bool {
	return op.unavailable() || op == opTeamPackages || op == opTeamGrant || op == opTeamRevoke
}

// TestWordsOfARefusal: npm prints the field error, and a hint about passwords in
// its place where a challenge is sent.
func TestWordsOfARefusal(t *testing.T) {
	for op, challenged := range map[Op]bool{opPackument: false, opWhoami: false, opLogin: true, opLoginWeb: true} {
		h := http.Header{}
		body := New(Options{}).Describe(&formats.Failure{
			Status: 401, Sentence: `token "x" expired`, Challenge: true, Request: formats.Request{Op: string(op)},
		}, h)
		if got := textField(body, "error"); got != `token "x" expired` {
			t.Errorf("%s: error is %q", op, got)
		}
		if (h.Get("WWW-Authenticate") != "") != challenged {
			t.Errorf("%s: challenge %q", op, h.Get("WWW-Authenticate"))
		}
	}
}
