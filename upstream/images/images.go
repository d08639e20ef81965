// Package images says which image a request to a container registry is about,
// and keeps an upstream to the images that it may be asked for.
package images

import (
	"context"
	"fmt"
	"strings"

	"larder/upstream"
)

// Fetcher is one upstream; *upstream.Client is the real one.
type Fetcher interface {
	Fetch(ctx context.Context, req upstream.Request) (*upstream.Response, error)
}

// Name returns the name of the image that a reference is about: a path below a
// registry's base, or an absolute URL. It is "" for what concerns no image, and
// for names that no image can have.
func Name(ref string) string {
	ref, _, _ = strings.Cut(ref, "?")
	path, ok := strings.CutPrefix(strings.TrimPrefix(ref, "/"), "v2/")
	if !ok {
		if _, path, ok = strings.Cut(ref, "/v2/"); !ok {
			return ""
		}
	}
	// From the right: an image may itself be called a/manifests/b.
	parts := strings.Split(path, "/")
	n := len(parts) - 2
	if n < 1 {
		return ""
	}
	switch kind := parts[n]; {
	case kind == "manifests", kind == "blobs", kind == "referrers", kind == "tags" && parts[n+1] == "list":
		name := strings.Join(parts[:n], "/")
		if isName(name) {
			return name
		}
	}
	return ""
}

// isName reports whether a text consists of what names consist of. That is less
// than the protocol asks of a name: whoever has the image knows better.
func isName(s string) bool {
	for part := range strings.SplitSeq(s, "/") {
		if strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789._-") != "" || strings.Trim(part, ".") == "" {
			return false
		}
	}
	return true
}

// Only returns a Fetcher that asks for the allowed images alone. Of the others it
// says that they are not there (upstream.ErrNotExist), and nothing goes out.
func Only(f Fetcher, id string, allowed func(name string) bool) Fetcher {
	return only{f, id, allowed}
}

type only struct {
	Fetcher
	id      string
	allowed func(string) bool
}

func (o only) Fetch(ctx context.Context, req upstream.Request) (*upstream.Response, error) {
	if name := Name(req.Ref); name != "" && !o.allowed(name) {
		return nil, fmt.Errorf("upstream %s is not asked for %s: %w", o.id, name, upstream.ErrNotExist)
	}
	return o.Fetcher.Fetch(ctx, req)
}
