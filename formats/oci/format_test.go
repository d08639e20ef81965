package oci

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

// TestFormat: what every format must pass, with a request of each kind and what
// it asks of policy.
func TestFormat(t *testing.T) {
	var samples []formattest.Sample
	add := func(line string, o op, action policy.Action, pkg, version string) {
		method, target, _ := strings.Cut(expand(line), " ")
		samples = append(samples, formattest.Sample{
			Name: line, Method: method, Target: target,
			Want: formats.Request{Op: string(o), Action: action, Package: pkg, Version: expand(version)},
		})
	}
	add("GET /", opPing, policy.Open, "", "")
	add("GET /token?scope=repository:a/b:pull", opToken, policy.Open, "", "")
	add("POST /token", opToken, policy.Open, "", "")
	add("GET /_catalog?n=1", opCatalog, policy.Open, "", "")
	add("GET /acme/app/manifests/latest", opManifest, policy.Read, "acme/app", "latest")
	add("GET /acme/app/manifests/$256", opManifest, policy.Read, "acme/app", "$256")
	add("PUT /acme/app/manifests/latest", opManifestPut, policy.Publish, "acme/app", "latest")
	add("PUT /acme/app/manifests/$512?tag=a", opManifestPut, policy.Publish, "acme/app", "$512")
	add("DELETE /acme/app/manifests/latest", opManifestDelete, policy.Delete, "acme/app", "latest")
	add("GET /acme/app/more/blobs/$256", opBlob, policy.Read, "acme/app/more", "")
	add("DELETE /acme/app/blobs/$256", opBlobDelete, policy.Delete, "acme/app", "")
	add("POST /acme/app/blobs/uploads", opUpload, policy.Publish, "acme/app", "")
	add("POST /acme/app/blobs/uploads?mount=$256&from=acme/base", opMount, policy.Publish, "acme/app", "")
	add("GET /acme/app/blobs/uploads/ID", opSession, policy.Publish, "acme/app", "")
	add("PATCH /acme/app/blobs/uploads/ID", opChunk, policy.Publish, "acme/app", "")
	add("PUT /acme/app/blobs/uploads/ID?digest=$256", opCommit, policy.Publish, "acme/app", "")
	add("DELETE /acme/app/blobs/uploads/ID", opCancel, policy.Publish, "acme/app", "")
	add("GET /acme/app/tags/list", opTags, policy.Read, "acme/app", "")
	add("GET /acme/app/referrers/$256", opReferrer, policy.Read, "acme/app", "")
	formattest.Run(t, formattest.Suite{Format: New(Options{}), Samples: samples})
}

// TestSlashAtTheStartOfAnUpload: it may be there, and nowhere else.
func TestSlashAtTheStartOfAnUpload(t *testing.T) {
	var format formats.Format = New(Options{})
	if _, ok := format.(formats.Slashed); !ok {
		t.Error("the edge would refuse the final slash of an upload's address")
	}
}

func TestPing(t *testing.T) {
	f := New(Options{})
	req, err := parse(t, f, "GET /")
	if err != nil {
		t.Fatal(err)
	}
	for method, body := range map[string]string{http.MethodGet: "{}", http.MethodHead: ""} {
		w := httptest.NewRecorder()
		if err := f.Serve(w, httptest.NewRequest(method, "/v2/", nil), &formats.Call{Request: req, Caller: policy.Subject{User: "ann"}}); err != nil {
			t.Fatal(err)
		}
		if w.Code != 200 || w.Body.String() != body || w.Header().Get("Content-Type") != "application/json" ||
			w.Header().Get(apiVersion) != "registry/2.0" || w.Header().Get("Content-Length") != "2" {
			t.Errorf("%s: %d %q %v", method, w.Code, w.Body, w.Header())
		}
	}
}

func TestServeKnowsItsOwnRequestsOnly(t *testing.T) {
	w := httptest.NewRecorder()
	err := New(Options{}).Serve(w, httptest.NewRequest("GET", "/v2/", nil), &formats.Call{})
	if err == nil || w.Body.Len() > 0 {
		t.Errorf("served a request that was not parsed: %v, %q", err, w.Body)
	}
}

func TestOwners(t *testing.T) {
	f := New(Options{})
	for name, want := range map[string]string{"acme/app": "acme", "acme/a/b": "acme", "app": "", "": ""} {
		if got := f.Owner(name); got != want {
			t.Errorf("the owner of %q is %q", name, got)
		}
	}
	library := New(Options{Mirror: true, Library: always})
	for name, want := range map[string]string{"library/app": "app", "library/a/b": "", "acme/app": "", "library": "", "app": ""} {
		if got := library.Alias(t.Context(), name); got != want {
			t.Errorf("%q is also called %q", name, got)
		}
		if got := f.Alias(t.Context(), name); got != "" {
			t.Errorf("%q is also called %q where there is no library", name, got)
		}
	}
	if f.Name() != "oci" {
		t.Errorf("name %q", f.Name())
	}
}

// always is a registry that keeps images under library/.
func always(context.Context) bool { return true }
