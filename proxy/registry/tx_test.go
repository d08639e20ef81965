package registry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"larder/cache"
	"larder/formats"
	"larder/policy"
)

// TestFailedChange leaves nothing.
func TestFailedChange(t *testing.T) {
	b := newBench(t)
	alice := b.as("alice", "")
	blob, err := upload(alice, "p", []byte("one"))
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	file := []formats.ReleaseFile{{Name: "p/1", Blob: blob}}
	gone := []formats.ReleaseFile{{Name: "p/1", Blob: cache.Blob{Digest: cache.Digest{1}, Size: 3}}}
	add := func(r *formats.Release, after func(formats.Tx) error) func(formats.Tx) error {
		return func(tx formats.Tx) error {
			if err := tx.Add(r); err != nil {
				return err
			}
			return after(tx)
		}
	}
	save := func(tx formats.Tx) error {
		p, err := tx.Package()
		if err == nil {
			err = tx.Save(p)
		}
		return err
	}
	many := func(tx formats.Tx) error {
		p, err := tx.Package()
		if err != nil {
			return err
		}
		p.Meta = make([]byte, cache.MaxValue)
		return tx.Save(p)
	}
	tests := []struct {
		name string
		fn   func(formats.Tx) error
		want error
	}{
		{"the function fails", add(&formats.Release{Version: "1", Files: file}, func(formats.Tx) error { return broken }), broken},
		{"never saved", add(&formats.Release{Version: "1", Files: file}, func(formats.Tx) error { return nil }), nil},
		{"bytes that are gone", add(&formats.Release{Version: "1", Files: gone}, save), formats.ErrConflict},
		{"a file twice", add(&formats.Release{Version: "1", Files: append(file, file...)}, save), formats.ErrExists},
		{"metadata beyond the limit", add(&formats.Release{Version: "1", Meta: make([]byte, 4<<20+1)}, save), formats.ErrTooLarge},
		{"a package's metadata beyond the limit", many, formats.ErrTooLarge},
	}
	before := len(b.rows(""))
	for _, tt := range tests {
		c := formats.Change{Package: "p", Action: policy.Publish, Create: true}
		err := alice.Change(context.Background(), c, tt.fn)
		if err == nil || (tt.want != nil && !errors.Is(err, tt.want)) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if n := len(b.rows("")); n != before {
			t.Errorf("%s: %d rows became %d", tt.name, before, n)
		}
	}
	if _, err := b.reader.Package(context.Background(), "p"); !errors.Is(err, formats.ErrNotFound) {
		t.Errorf("a package after failures: %v", err)
	}
}

// TestTransaction: what a format sees and does within one change.
func TestTransaction(t *testing.T) {
	b := newBench(t)
	alice := b.as("alice", "")
	big := text(3 << 20) // many rows
	blob, err := upload(alice, "p", []byte("one"))
	if err != nil {
		t.Fatal(err)
	}
	create := formats.Change{Package: "p", Action: policy.Publish, Create: true}
	err = alice.Change(context.Background(), create, func(tx formats.Tx) error {
		p, err := tx.Package()
		if err != nil || p.Revision != 0 || p.Repository != "acme/packages" || p.Visibility != policy.Public {
			return fmt.Errorf("new package %+v, %v", p, err)
		}
		p.Tags["latest"], p.Meta = "1", []byte("about")
		if err := tx.Save(p); err != nil { // also before the version comes
			return err
		}
		if err := tx.Add(&formats.Release{Version: "1", Meta: big, Files: []formats.ReleaseFile{{Name: "p/1", Blob: blob}}}); err != nil {
			return err
		}
		return tx.Add(&formats.Release{Version: "2", Meta: []byte("small")})
	})
	if err != nil {
		t.Fatal(err)
	}
	b.shows(b.reader, "p", "1", "2")
	change := formats.Change{Package: "p", Action: policy.Publish}
	err = alice.Change(context.Background(), change, func(tx formats.Tx) error {
		r, err := tx.Release("1")
		if err != nil || !bytes.Equal(r.Meta, big) || len(r.Files) != 1 || r.Files[0].Blob.Digest != blob.Digest {
			return fmt.Errorf("release %v, %v", r, err)
		}
		r.Meta, r.Acknowledged, r.Files = []byte("shorter"), true, nil
		if err := tx.Amend(r); err != nil {
			return err
		}
		if err := tx.Amend(&formats.Release{Version: "9"}); !errors.Is(err, formats.ErrNotFound) {
			return fmt.Errorf("amend what is missing: %w", err)
		}
		return tx.Add(&formats.Release{Version: "3"})
	})
	if err != nil {
		t.Fatal(err)
	}
	b.shows(b.reader, "p", "1", "2", "3")
	for r, err := range b.reader.Releases(context.Background(), "p") {
		if err != nil {
			t.Fatal(err)
		}
		if r.Version == "1" && (string(r.Meta) != "shorter" || !r.Acknowledged || len(r.Files) != 1) {
			t.Errorf("amended %+v", r)
		}
		break
	}
	p, err := b.reader.Package(context.Background(), "p")
	if err != nil || p.Tags["latest"] != "1" || string(p.Meta) != "about" {
		t.Errorf("package %+v, %v", p, err)
	}
}

// TestAmendIsSilent: what no document shows moves no revision.
func TestAmendIsSilent(t *testing.T) {
	b := newBench(t)
	alice := b.as("alice", "")
	if err := publish(alice, "p", "1", []byte("one")); err != nil {
		t.Fatal(err)
	}
	err := alice.Change(context.Background(), formats.Change{Package: "p", Action: policy.Publish}, func(tx formats.Tx) error {
		r, err := tx.Release("1")
		if err != nil {
			return err
		}
		r.Acknowledged = true
		return tx.Amend(r)
	})
	p, perr := b.reader.Package(context.Background(), "p")
	if err != nil || perr != nil || p.Revision != 1 {
		t.Errorf("%+v, %v, %v", p, err, perr)
	}
}
