package registry_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"larder/cache"
	"larder/formats"
	"larder/proxy/registry"
	"larder/upstream/upstreamtest"
)

// forgets drops what is held by a name, as an administrator of the instance.
func (m *mirror) forgets(f formats.Forgotten) {
	m.t.Helper()
	admin := user("op")
	admin.Admin = true
	if err := m.mirrored.For(admin, "", base).Forget(context.Background(), f); err != nil {
		m.t.Fatal(err)
	}
}

// ended waits for all that the engine still writes.
func (m *mirror) ended() {
	m.t.Helper()
	if err := m.engine.Close(); err != nil {
		m.t.Error(err)
	}
}

// TestForgetDuringAFill: what is forgotten is not held again by a download that
// was about to end. Its readers have all of it, its bytes are left to the sweep,
// and who comes next asks the upstream.
func TestForgetDuringAFill(t *testing.T) {
	slow := &slowCommit{begun: make(chan struct{}, 9), leave: make(chan struct{})}
	m := newMirror(t, false, func(b *bench, _ *registry.Options) { slow.Store, b.store = b.store, slow })
	data := text(300 << 10)
	f := blob("p", data, false)
	m.serve(f, upstreamtest.Answer{Body: data})
	m.fetches(f, data) // its bytes are about to be committed
	<-slow.begun
	m.forgets(formats.Forgotten{Package: "p", File: f.Name})
	m.far.Forget()
	fresh := make(chan error, 1)
	go func() {
		c, err := m.File(context.Background(), f)
		if err == nil {
			var got []byte
			if got, err = body(c); string(got) != string(data) {
				err = errors.Join(err, errors.New("other bytes"))
			}
		}
		fresh <- err
	}()
	eventually(t, "who comes next asks the upstream", func() bool { return len(m.far.Log()) == 1 })
	close(slow.leave)
	if err := <-fresh; err != nil {
		t.Error(err)
	}
	m.ended()
	if n := len(m.rows("fufar")); n != 1 {
		t.Errorf("%d records, want that of the second download", n)
	}
}

// TestForgetWhatNobodyAsksAgain is held no more once its download has ended.
func TestForgetWhatNobodyAsksAgain(t *testing.T) {
	slow := &slowCommit{begun: make(chan struct{}, 9), leave: make(chan struct{})}
	m := newMirror(t, false, func(b *bench, _ *registry.Options) { slow.Store, b.store = b.store, slow })
	data := text(300 << 10)
	f := blob("p", data, false)
	m.serve(f, upstreamtest.Answer{Body: data})
	m.fetches(f, data)
	<-slow.begun
	m.forgets(formats.Forgotten{Package: "p", File: f.Name})
	close(slow.leave)
	m.ended()
	if keys := m.rows("fufar"); len(keys) != 0 {
		t.Errorf("rows %q", keys)
	}
}

// TestForgetBetween: a record that is being read while it is dropped is not
// remembered.
func TestForgetBetween(t *testing.T) {
	var m *mirror
	late := &lateIndex{}
	m = newMirror(t, false, func(b *bench, _ *registry.Options) { late.Index, b.index = b.index, late })
	data := text(300 << 10)
	f := blob("p", data, false)
	m.serve(f, upstreamtest.Answer{Body: data})
	m.fetches(f, data)
	m.settled()
	late.after = func() { m.forgets(formats.Forgotten{Package: "p", File: f.Name}) }
	m.fetches(f, data) // the record was there
	m.far.Forget()
	m.fetches(f, data)
	if len(m.far.Log()) != 1 {
		t.Errorf("the upstream heard %v", m.far.Log())
	}
}

// lateIndex runs after behind the next View that finds the record of a file.
type lateIndex struct {
	cache.Index
	after func()
}

type lateReader struct {
	cache.Reader
	found bool
}

func (l *lateReader) Get(k []byte) ([]byte, error) {
	value, err := l.Reader.Get(k)
	l.found = l.found || err == nil && k[0] == 'f'
	return value, err
}

func (l *lateIndex) View(ctx context.Context, fn func(cache.Reader) error) error {
	found := false
	err := l.Index.View(ctx, func(r cache.Reader) error {
		late := &lateReader{Reader: r}
		err := fn(late)
		found = late.found
		return err
	})
	if after := l.after; found && after != nil {
		l.after = nil
		after()
	}
	return err
}

// TestForgetDuringACheck: a tag that is forgotten while its check is under way
// is asked for anew.
func TestForgetDuringACheck(t *testing.T) {
	m := newMirror(t, false)
	one := push(m.far, "t", "one")
	leave := make(chan struct{})
	m.far.Serve("/p/tags/t", upstreamtest.Answer{
		Body: []byte("one"), ETag: `"` + one + `"`, ContentType: typeOfTags, Header: http.Header{"Version": {one}}, Wait: leave,
	})
	got := make(chan error, 1)
	go func() {
		_, err := m.Resolve(context.Background(), tagOf("t"))
		got <- err
	}()
	eventually(t, "the check is under way", func() bool { return len(m.far.Log()) == 1 })
	m.forgets(formats.Forgotten{Package: "p", Pointer: "t"})
	close(leave)
	if err := <-got; err != nil {
		t.Error(err)
	}
	if keys := m.rows("y"); len(keys) != 0 {
		t.Errorf("rows %q", keys)
	}
}
