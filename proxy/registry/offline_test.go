package registry_test

import (
	"context"
	"errors"
	"testing"

	"larder/formats"
	"larder/policy"
	"larder/proxy/registry"
	"larder/upstream"
)

// switchedOff is an upstream of a server that is offline for good.
type switchedOff struct{}

func (switchedOff) Fetch(context.Context, upstream.Request) (*upstream.Response, error) {
	return nil, upstream.ErrOffline
}

// A site without a way out publishes new names: what no upstream can ever be
// asked, none can have had first. What came from one before stays its own.
func TestPublishesOffline(t *testing.T) {
	b := newBench(t)
	b.far.Serve("/theirs", answer("theirs: one", `"1"`))
	if _, _, err := doc(b.reader, b.format.document("theirs")); err != nil {
		t.Fatal(err)
	}
	b.spec.Upstreams = b.only(registry.Source{ID: "far", Fetcher: switchedOff{}, Offline: true})
	b.reg = b.engine.Registry(b.spec)
	for name, url := range map[string]string{"new": "", "newer": "acme/packages"} {
		if err := publish(b.as("alice", url), name, "1", []byte("x")); err != nil {
			t.Errorf("%q at the URL of %q: %v", name, url, err)
		}
		if err := publish(b.as("alice", url), "theirs", "2", []byte("x")); !errors.Is(err, policy.ErrDenied) {
			t.Errorf("a name of the upstream at the URL of %q: %v", url, err)
		}
	}
	if _, _, err := doc(b.reg.For(user("alice"), "", base), b.format.document("elsewhere")); errors.Is(err, formats.ErrNotFound) {
		t.Error("what cannot be asked is said not to exist")
	}
}
