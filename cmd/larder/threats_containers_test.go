package main

import (
	"strings"
	"testing"

	"larder/policy"
)

// TestThreat05ABlobThroughAnotherRepository: bytes are stored once, and seen only
// in the repositories that have them. Who knows a digest gets nothing by it: not by
// another repository, a mirror, a mount, or a manifest that names it.
func TestThreat05ABlobThroughAnotherRepository(t *testing.T) {
	l := liveServer(t, "")
	tokens := map[string]string{}
	for _, name := range []string{"alice", "mallory"} {
		l.api("POST", "users", fields{"name": name})
		tokens[name], _ = l.mint(name, policy.Limits{}, policy.AllScopes()...)
	}
	const secret = "nobody else may read this"
	digest := containerDigest(secret)
	push := func(name, image, body string) {
		l.want(201, tokens[name], ask{method: "POST", path: "/v2/" + image + "/blobs/uploads/?digest=" + containerDigest(body), body: body})
	}
	push("alice", "alice/app", secret)
	push("mallory", "mallory/app", "something else")
	l.want(200, tokens["alice"], ask{method: "GET", path: "/v2/alice/app/blobs/" + digest})

	never := "sha256:" + strings.Repeat("ab", 32)
	for _, image := range []string{"mallory/app", "mallory/other", "alice/app", "alice/other"} {
		for _, who := range []string{"mallory", "alice"} {
			if who == "alice" && image == "alice/app" {
				continue
			}
			for _, method := range []string{"GET", "HEAD"} {
				a := ask{method: method, path: "/v2/" + image + "/blobs/" + digest, header: []string{"X-Request-Id: one-for-all"}}
				b := a
				b.path = "/v2/" + image + "/blobs/" + never
				got, missing := l.as(tokens[who], a), l.as(tokens[who], b)
				if got.status != 404 || strings.Contains(got.body, secret) || got.told(digest, "X") != missing.told(never, "X") {
					t.Errorf("%s of %s by %s: %d %s, and what nobody has: %d %s", method, image, who, got.status, got.body, missing.status, missing.body)
				}
			}
		}
	}
	l.mountsNothing(tokens["mallory"], digest, never)

	manifest := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` +
		containerDigest("something else") + `","size":14},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"` + digest + `","size":25}]}`
	got := l.as(tokens["mallory"], ask{
		method: "PUT", path: "/v2/mallory/app/manifests/1", body: manifest, header: []string{"Content-Type: application/vnd.oci.image.manifest.v1+json"},
	})
	if got.status != 400 || !strings.Contains(got.body, "MANIFEST_BLOB_UNKNOWN") {
		t.Errorf("a manifest that names it: %d %s", got.status, got.body)
	}
	l.want(404, tokens["mallory"], ask{method: "GET", path: "/v2/mallory/app/blobs/" + digest})
}

// mountsNothing tries to get at a blob of alice/app by mounting it: every answer is
// that of a digest that nobody has.
func (l *live) mountsNothing(mallory, digest, never string) {
	l.t.Helper()
	for _, from := range []string{"&from=alice/app", "", "&from=alice/nothing", "&from=mirror/oci/alice/app"} {
		got := l.as(mallory, ask{method: "POST", path: "/v2/mallory/app/blobs/uploads/?mount=" + digest + from})
		missing := l.as(mallory, ask{method: "POST", path: "/v2/mallory/app/blobs/uploads/?mount=" + never + from})
		if got.status != 202 || missing.status != 202 || got.body != missing.body || len(got.header) != len(missing.header) {
			l.t.Errorf("mount%s: %d %v %s, and of what nobody has: %d %v %s", from, got.status, got.header, got.body, missing.status, missing.header, missing.body)
		}
	}
}
