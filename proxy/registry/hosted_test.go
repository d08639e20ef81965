package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"larder/cache"
	"larder/cache/refs"
	"larder/formats"
	"larder/policy"
	"larder/upstream/upstreamtest"
)

// shows insists on the hosted versions of a package as its document, its
// releases and its state tell them.
func (b *bench) shows(r formats.Registry, pkg string, versions ...string) {
	b.t.Helper()
	text, c, err := doc(r, b.format.document(pkg))
	if err != nil {
		b.t.Fatalf("document of %s: %v", pkg, err)
	}
	if want := strings.Join(append([]string{base, "hosted", pkg}, versions...), " "); text != want || c.Result != formats.Hosted {
		b.t.Fatalf("document %q, %s; want %q", text, c.Result, want)
	}
	var got []string
	for rel, err := range r.Releases(context.Background(), pkg) {
		if err != nil {
			b.t.Fatal(err)
		}
		got = append(got, rel.Version)
	}
	if !slices.Equal(got, versions) {
		b.t.Fatalf("releases %q, want %q", got, versions)
	}
	p, err := r.Package(context.Background(), pkg)
	if err != nil || p.Name != pkg || p.Revision == 0 {
		b.t.Fatalf("package %+v, %v", p, err)
	}
}

// retract takes a version back, with nothing else.
func retract(r formats.Registry, pkg, version string) error {
	c := formats.Change{Package: pkg, Action: policy.Delete}
	return r.Change(context.Background(), c, func(tx formats.Tx) error { return tx.Retract(version) })
}

func TestPublish(t *testing.T) {
	b := newBench(t)
	alice, data := b.as("alice", ""), text(100<<10)
	if err := publish(alice, "p", "1", data); err != nil {
		t.Fatal(err)
	}
	b.shows(b.reader, "p", "1")
	b.want(hostedFile("p", "1"), data, formats.Hosted)
	if n := b.far.Requests("/p"); n != 1 {
		t.Errorf("the upstream was asked %d times whether it has the name", n)
	}
	b.far.Forget()

	// A version is one set of bytes for ever, also as a tombstone.
	if err := publish(alice, "p", "1", []byte("other")); !errors.Is(err, formats.ErrExists) {
		t.Errorf("other bytes: %v", err)
	}
	b.want(hostedFile("p", "1"), data, formats.Hosted)
	if err := publish(alice, "p", "2", []byte("two")); err != nil {
		t.Fatal(err)
	}
	b.shows(b.reader, "p", "1", "2")
	if err := retract(alice, "p", "1"); err != nil {
		t.Fatal(err)
	}
	b.shows(b.reader, "p", "2")
	b.refuse(hostedFile("p", "1"), formats.ErrNotFound)
	if err := publish(alice, "p", "1", data); !errors.Is(err, formats.ErrExists) {
		t.Errorf("a tombstone: %v", err)
	}
	if err := retract(alice, "p", "1"); err != nil {
		t.Errorf("again: %v", err)
	}
	if err := retract(alice, "p", "9"); !errors.Is(err, formats.ErrNoVersion) {
		t.Errorf("what was never here: %v", err)
	}
	if n := len(b.far.Log()); n != 0 {
		t.Errorf("the upstream heard of a hosted name: %v", b.far.Log())
	}
	if n := len(b.rows("j")); n < 4 {
		t.Errorf("%d rows in the journal", n)
	}
}

// TestRetractedBytes stay for the restore window, and then may go.
func TestRetractedBytes(t *testing.T) {
	b := newBench(t)
	data := text(100)
	if err := publish(b.as("alice", ""), "p", "1", data); err != nil {
		t.Fatal(err)
	}
	if err := retract(b.as("alice", ""), "p", "1"); err != nil {
		t.Fatal(err)
	}
	d := cache.Digest(sumOf(data).Value)
	var kinds []refs.Kind
	err := b.index.View(context.Background(), func(r cache.Reader) error {
		for e, err := range refs.Edges(r, d) {
			if err != nil {
				return err
			}
			if e.Kind != refs.Upload && !e.Expires.Equal(b.clock.now().Add(30*24*time.Hour)) {
				t.Errorf("edge %c until %v", e.Kind, e.Expires)
			}
			kinds = append(kinds, e.Kind)
		}
		return nil
	})
	slices.Sort(kinds)
	if err != nil || !slices.Equal(kinds, []refs.Kind{refs.Pin, refs.Upload}) {
		t.Errorf("edges %q, %v", kinds, err)
	}
}

// TestPublishAfterNegative: a remembered "not found" ends with a publish.
func TestPublishAfterNegative(t *testing.T) {
	b := newBench(t)
	if _, _, err := doc(b.reader, b.format.document("p")); !errors.Is(err, formats.ErrNotFound) {
		t.Fatal(err)
	}
	b.refuse(hostedFileAt("p", "1"), formats.ErrNotFound)
	if err := publish(b.as("alice", ""), "p", "1", []byte("one")); err != nil {
		t.Fatal(err)
	}
	b.shows(b.reader, "p", "1")
	b.want(hostedFileAt("p", "1"), []byte("one"), formats.Hosted)
}

// hostedFileAt is hostedFile with a place in an upstream.
func hostedFileAt(pkg, version string) formats.File {
	f := hostedFile(pkg, version)
	f.Locate = func(context.Context) (formats.Location, error) { return formats.Location{Ref: f.Name}, nil }
	return f
}

// TestParallelPublishes: every version that was acknowledged is there, at once,
// for whoever asks after the acknowledgement.
func TestParallelPublishes(t *testing.T) {
	b := newBench(t)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			version, data := fmt.Sprint(i), []byte(fmt.Sprintf("bytes of %d", i))
			if err := publish(b.as("alice", ""), "p", version, data); err != nil {
				t.Error(err)
				return
			}
			if got, _, err := b.get(hostedFile("p", version)); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s: %q, %v", version, got, err)
			}
			text, _, err := doc(b.reader, b.format.document("p"))
			if err != nil || !slices.Contains(strings.Fields(text), version) {
				t.Errorf("%s is not in %q, %v", version, text, err)
			}
		})
	}
	wg.Wait()
	p, err := b.reader.Package(context.Background(), "p")
	if err != nil || p.Revision != 20 {
		t.Errorf("%+v, %v", p, err)
	}
}

// TestOneWinner: of publishes of one version with different bytes one counts.
func TestOneWinner(t *testing.T) {
	b := newBench(t)
	var won atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			switch err := publish(b.as("alice", ""), "p", "1", []byte(fmt.Sprint(i))); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, formats.ErrExists):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d publishes won", won.Load())
	}
	b.shows(b.reader, "p", "1")
}

// TestReservedName: a package that was deleted hides its name from upstreams.
func TestReservedName(t *testing.T) {
	b := newBench(t)
	alice := b.as("alice", "")
	if err := publish(alice, "p", "1", []byte("one")); err != nil {
		t.Fatal(err)
	}
	b.far.Forget()
	b.far.Serve("/p", answer("p: evil", `"1"`))
	err := alice.Change(context.Background(), formats.Change{Package: "p", Action: policy.Delete}, func(tx formats.Tx) error {
		p, err := tx.Package()
		if err != nil {
			return err
		}
		if err := tx.Retract("1"); err != nil {
			return err
		}
		p.Deleted, p.Tags = b.clock.now(), nil
		return tx.Save(p)
	})
	if err != nil {
		t.Fatal(err)
	}
	b.silent("p")
	if err := publish(alice, "p", "1", []byte("other")); !errors.Is(err, formats.ErrExists) {
		t.Errorf("the tombstone is gone: %v", err)
	}
}

// silent insists that nothing about a name is there, and that no upstream hears
// of it, whatever is asked.
func (b *bench) silent(pkg string) {
	b.t.Helper()
	b.far.Forget()
	if _, _, err := doc(b.reader, b.format.document(pkg)); !errors.Is(err, formats.ErrNotFound) && !errors.Is(err, policy.ErrUnauthenticated) {
		b.t.Errorf("document of %s: %v", pkg, err)
	}
	for _, head := range []bool{false, true} {
		f := hostedFileAt(pkg, "1")
		f.Head = head
		if _, err := b.reader.File(context.Background(), f); !errors.Is(err, formats.ErrNotFound) && !errors.Is(err, policy.ErrUnauthenticated) {
			b.t.Errorf("file of %s: %v", pkg, err)
		}
	}
	if _, err := b.reader.Package(context.Background(), pkg); err == nil {
		b.t.Errorf("%s is there", pkg)
	}
	if log := b.far.Log(); len(log) != 0 {
		b.t.Errorf("the upstream heard of %s: %v", pkg, log)
	}
}

func TestUploadLimits(t *testing.T) {
	b := newBench(t, func(_ *bench, o *registryOptions) { o.MaxUpload = 10 })
	alice := b.as("alice", "")
	if _, err := upload(alice, "p", make([]byte, 11)); !errors.Is(err, formats.ErrTooLarge) {
		t.Errorf("announced: %v", err)
	}
	up, err := alice.Upload(context.Background(), formats.UploadOptions{Package: "p", Size: -1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := up.Write(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if _, err := up.Write(make([]byte, 1)); !errors.Is(err, formats.ErrTooLarge) {
		t.Errorf("not announced: %v", err)
	}
	if err := up.Close(); err != nil || b.blobs() != 0 {
		t.Errorf("%v, %d blobs", err, b.blobs())
	}
}

// sweep ends what has expired, as cache/evict does.
func (b *bench) sweep() {
	b.t.Helper()
	err := b.index.Update(context.Background(), func(w cache.Writer) error {
		var due []refs.Due
		for d, err := range refs.DueBy(w, b.clock.now(), nil) {
			if err != nil {
				return err
			}
			due = append(due, d)
		}
		for _, d := range due {
			if _, err := refs.Settle(w, d, b.clock.now()); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
}

// TestPublishOfCachedBytes: equal bytes that are only cached may be evicted
// while a package is published, so they do not stand in for those uploaded.
func TestPublishOfCachedBytes(t *testing.T) {
	b := newBench(t)
	data := text(100)
	b.far.Serve("/f", upstreamtest.Answer{Body: data})
	b.want(file("f"), data, formats.Miss)
	b.stored(file("f"))
	alice := b.as("alice", "")
	blob, err := upload(alice, "mine", data)
	if err != nil {
		t.Fatal(err)
	}
	b.clock.advance(2 * time.Hour) // the lease of the upload is over
	b.sweep()
	c := formats.Change{Package: "mine", Action: policy.Publish, Create: true}
	add := func(tx formats.Tx) error {
		if err := tx.Add(&formats.Release{Version: "1", Files: []formats.ReleaseFile{{Name: "mine/1", Blob: blob}}}); err != nil {
			return err
		}
		return tx.Save(&formats.Package{Name: "mine"})
	}
	if err := alice.Change(context.Background(), c, add); !errors.Is(err, formats.ErrConflict) {
		t.Errorf("published on cached bytes: %v", err)
	}
	if _, err := upload(alice, "mine", data); err != nil {
		t.Fatal(err)
	}
	if err := alice.Change(context.Background(), c, add); err != nil {
		t.Errorf("sent again: %v", err)
	}
}

// TestDamagedHostedFile is a fault of ours, and neither missing nor fetched.
func TestDamagedHostedFile(t *testing.T) {
	b := newBench(t)
	data := text(100 << 10)
	if err := publish(b.as("alice", ""), "p", "1", data); err != nil {
		t.Fatal(err)
	}
	b.far.Forget()
	if err := b.store.Delete(context.Background(), cache.Digest(sumOf(data).Value)); err != nil {
		t.Fatal(err)
	}
	_, _, err := b.get(hostedFileAt("p", "1"))
	if err == nil || errors.Is(err, cache.ErrNotExist) || errors.Is(err, formats.ErrNotFound) {
		t.Errorf("error %v", err)
	}
	if b.seen.integrity.Load() != 1 || len(b.far.Log()) != 0 {
		t.Errorf("%d alarms, log %v", b.seen.integrity.Load(), b.far.Log())
	}
	ctx, leave := context.WithCancel(context.Background())
	leave()
	if _, err := b.reader.File(ctx, hostedFile("p", "1")); !errors.Is(err, context.Canceled) || b.seen.integrity.Load() != 1 {
		t.Errorf("a client that left was taken for damage: %v", err)
	}
}

// TestChangesCountAtOnce: readers that never stop do not keep an old state alive.
func TestChangesCountAtOnce(t *testing.T) {
	b := newBench(t)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				for i := range 30 {
					if c, err := b.reader.File(context.Background(), hostedFile("p", fmt.Sprint(i))); err == nil {
						c.Close()
					}
				}
			}
		})
	}
	for i := range 30 {
		version := fmt.Sprint(i)
		if err := publish(b.as("alice", ""), "p", version, []byte(version)); err != nil {
			t.Fatal(err)
		}
		b.want(hostedFile("p", version), []byte(version), formats.Hosted)
		if err := retract(b.as("alice", ""), "p", version); err != nil {
			t.Fatal(err)
		}
		b.refuse(hostedFile("p", version), formats.ErrNotFound)
		b.shows(b.reader, "p")
	}
	close(stop)
	wg.Wait()
}

// TestPublishedBytesStay when the lease of their upload is long over (I5).
func TestPublishedBytesStay(t *testing.T) {
	b := newBench(t)
	data := text(100)
	if err := publish(b.as("alice", ""), "mine", "1", data); err != nil {
		t.Fatal(err)
	}
	b.clock.advance(400 * day)
	b.sweep()
	d := cache.Digest(sumOf(data).Value)
	err := b.index.View(context.Background(), func(r cache.Reader) error {
		hosted, err := refs.IsHosted(r, d)
		if !hosted {
			t.Error("nothing says that a package uses the bytes")
		}
		if _, doomed := refs.Unused(r, d); doomed == nil {
			t.Error("the bytes are to be deleted")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	b.want(hostedFile("mine", "1"), data, formats.Hosted)
}
