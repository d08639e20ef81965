package seed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"larder/cache"
	"larder/cache/badger"
	"larder/cache/disk"
	"larder/cache/refs"
)

func numbered(i int) Package {
	return Package{Name: fmt.Sprintf("held-%06d", i), Tarball: fmt.Appendf(nil, "tarball %06d", i)}
}

// cached writes what some server might record of a package.
func cached(t *testing.T, ix cache.Index, p Package, extra ...string) {
	t.Helper()
	blob, err := p.blob()
	if err != nil {
		t.Fatal(err)
	}
	err = ix.Update(t.Context(), func(w cache.Writer) error {
		rows := map[string]string{
			"f" + p.Name: "digest " + blob.Digest.String(), "s" + p.Name: string(blob.Digest[:]), "d" + p.Name: "document of " + p.Name,
		}
		for _, more := range extra {
			rows[more+p.Name] = more
		}
		for key, value := range rows {
			if err := w.Put([]byte(key), []byte(value)); err != nil {
				return err
			}
		}
		inline, edge := refs.Inlined([]byte("d"+p.Name), 300)
		return errors.Join(
			refs.Link(w, blob, refs.Edge{Kind: refs.Cached, Record: []byte("f" + p.Name)}, time.Unix(1e9, 0)),
			refs.Link(w, inline, edge, time.Unix(1e9, 0)),
		)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// prepared is a data folder with the records of the packages 0 and 1.
func prepared(t *testing.T, extra ...string) string {
	t.Helper()
	dir := t.TempDir()
	ix, err := badger.Open(index(dir), badger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cached(t, ix, numbered(0))
	cached(t, ix, numbered(1), extra...)
	if err := ix.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestFill(t *testing.T) {
	const n = 3*page + 7
	ctx, dir := context.Background(), prepared(t)
	s, err := Learn(ctx, dir, numbered(0), numbered(1))
	if err != nil {
		t.Fatal(err)
	}
	if s.PerPackage() != 11 {
		t.Errorf("%d records a package, want f, s and d, and twice b, x, a and e", s.PerPackage())
	}
	if took, err := s.Fill(ctx, dir, Packages{From: 2, To: n, Make: numbered}); err != nil || took <= 0 {
		t.Fatal(took, err)
	}
	f, err := s.Measure(ctx, dir, 2, Packages{From: 0, To: n, Make: numbered})
	if err != nil || f.Open <= 0 || f.Get <= 0 || f.Absent <= 0 || f.Scan <= 0 || f.Bytes <= 0 {
		t.Errorf("%+v, %v", f, err)
	}
	ix, err := badger.Open(index(dir), badger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer ix.Close()
	if err := ix.View(ctx, func(r cache.Reader) error { return consistent(r, n) }); err != nil {
		t.Error(err)
	}
}

// TestStore: the bytes are there too, and what Write tried is gone.
func TestStore(t *testing.T) {
	const n = 9
	dir := prepared(t)
	if err := store(t.Context(), dir, Packages{From: 0, To: n, Make: numbered}); err != nil {
		t.Fatal(err)
	}
	full, bare, err := Write(t.Context(), dir, t.TempDir(), Packages{From: n, To: n + 3, Make: numbered})
	if err != nil || full <= 0 || bare <= 0 {
		t.Error(full, bare, err)
	}
	second := t.TempDir()
	writeFiles(t, dir, "VERSION", "admin.token")
	if err := Copy(dir, second); err != nil {
		t.Fatal(err)
	}
	holds(t, dir, n)
	holds(t, second, n)
}

// writeFiles makes what a server would have made.
func writeFiles(t *testing.T, dir string, names ...string) {
	t.Helper()
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// holds looks for the bytes of n packages, and for no others.
func holds(t *testing.T, dir string, n int) {
	t.Helper()
	s, err := disk.Open(dir, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	seen := 0
	for blob, err := range s.List(t.Context()) {
		if err != nil || blob.Size != int64(len(numbered(0).Tarball)) {
			t.Errorf("%+v, %v", blob, err)
		}
		seen++
	}
	for i := range n {
		if _, err := s.VerifyBlob(t.Context(), numbered(i).digest()); err != nil {
			t.Errorf("package %d: %v", i, err)
		}
	}
	if seen != n {
		t.Errorf("%d blobs, want %d", seen, n)
	}
}

// consistent looks for what the server would find of every package.
func consistent(r cache.Reader, n int) error {
	u, err := refs.ReadUsage(r)
	if err != nil || u.CachedBlobs != int64(2*n) {
		return fmt.Errorf("%d blobs counted, want %d, %w", u.CachedBlobs, 2*n, err)
	}
	counted, err := refs.CountUsage(r)
	if err != nil || counted != u {
		return fmt.Errorf("counted %+v, recorded %+v, %w", counted, u, err)
	}
	for _, i := range []int{0, 1, 2, page + 3, n - 1} {
		p := numbered(i)
		value, err := r.Get([]byte("f" + p.Name))
		if err != nil || string(value) != "digest "+p.digest().String() {
			return fmt.Errorf("package %d: %q, %w", i, value, err)
		}
		if info, err := refs.Lookup(r, p.digest()); err != nil || !info.Evictable() {
			return fmt.Errorf("blob %d: %+v, %w", i, info, err)
		}
		for _, d := range []cache.Digest{p.digest(), refs.InlineDigest([]byte("d" + p.Name))} {
			if bad, err := refs.Unsettled(r, d); err != nil || bad {
				return fmt.Errorf("blob %d is unsettled: %v, %w", i, bad, err)
			}
		}
	}
	return nil
}

// TestLearnRefuses: a server that records more or less than what was learned
// would make every figure a lie.
func TestLearnRefuses(t *testing.T) {
	_, err := Learn(t.Context(), prepared(t, "z"), numbered(0), numbered(1))
	if err == nil || !strings.Contains(err.Error(), "zheld-000001") {
		t.Errorf("an unforeseen record: %v", err)
	}
	if _, err := Learn(t.Context(), prepared(t), numbered(5), numbered(1)); err == nil {
		t.Error("records of a package that is not there were learned")
	}
	if _, err := Learn(t.Context(), prepared(t), numbered(0), numbered(5)); !errors.Is(err, cache.ErrNotExist) {
		t.Errorf("a second package that is not there: %v", err)
	}
}

// TestMeasureRefuses: what is not there must not pass for a fast read.
func TestMeasureRefuses(t *testing.T) {
	dir := prepared(t)
	s, err := Learn(t.Context(), dir, numbered(0), numbered(1))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Measure(t.Context(), dir, 1, Packages{From: 0, To: 100, Make: numbered}); !errors.Is(err, cache.ErrNotExist) {
		t.Errorf("98 packages are missing: %v", err)
	}
}
