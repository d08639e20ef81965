package formattest

import (
	"context"
	"errors"
	"net/url"
	"testing"

	"larder/formats"
	"larder/policy"
)

// reading answers documents and files with fixed bytes.
type reading struct{ Refusing }

func (reading) Document(_ context.Context, d formats.Document) (*formats.Content, error) {
	return &formats.Content{Bytes: []byte(d.Name), Size: int64(len(d.Name)), MediaType: "text/plain", ETag: `"d"`, Result: formats.Hosted}, nil
}

func (reading) File(_ context.Context, f formats.File) (*formats.Content, error) {
	c := &formats.Content{Size: int64(len(f.Name)), MediaType: "application/octet-stream", ETag: `"f"`, Result: formats.Hit, Immutable: true}
	if !f.Head {
		c.Bytes = []byte(f.Name)
	}
	return c, nil
}

func TestPlain(t *testing.T) {
	Run(t, Suite{
		Format:   Plain{},
		Registry: reading{Refusing{policy.ErrDenied}},
		Samples: []Sample{
			{Name: "ping", Method: "GET", Target: "/-/ping", Want: formats.Request{Op: "ping", Action: policy.Open}},
			{Name: "whoami", Method: "GET", Target: "/-/whoami", Want: formats.Request{Op: "whoami", Action: policy.Self}},
			{Name: "document", Method: "GET", Target: "/pad?full=1", Serve: true,
				Want: formats.Request{Op: "document", Action: policy.Read, Package: "pad"}},
			{Name: "scoped", Method: "GET", Target: "/@a%2fpad", Serve: true,
				Want: formats.Request{Op: "document", Action: policy.Read, Package: "@a/pad"}},
			{Name: "file", Method: "GET", Target: "/pad/1.0.0", Serve: true,
				Want: formats.Request{Op: "file", Action: policy.Read, Package: "pad", Version: "1.0.0"}},
			{Name: "publish", Method: "PUT", Target: "/pad/1.0.0",
				Want: formats.Request{Op: "publish", Action: policy.Publish, Package: "pad", Version: "1.0.0"}},
			{Name: "retract", Method: "DELETE", Target: "/pad/1.0.0",
				Want: formats.Request{Op: "retract", Action: policy.Delete, Package: "pad", Version: "1.0.0"}},
		},
	})
}

func TestHostileIsRefusedForAllFormatsAlike(t *testing.T) {
	list := Hostile()
	if len(list) < 60 {
		t.Fatalf("%d hostile segments, want at least 60", len(list))
	}
	for _, bad := range list {
		for _, target := range []string{"/m/" + bad + "/z", "/m/p/" + bad + "/z", "/" + bad + "/p"} {
			u, err := url.ParseRequestURI(target)
			if err != nil {
				continue // not a request target: net/http answers 400
			}
			if got, _, err := formats.SplitPath(u); !errors.Is(err, formats.ErrBadRequest) {
				t.Errorf("%s: taken as %q", target, got)
			}
		}
	}
}
