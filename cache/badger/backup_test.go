package badger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"larder/cache"
)

func restored(t *testing.T, from ...io.Reader) *Index {
	t.Helper()
	dir := t.TempDir()
	if err := Restore(dir, Options{}, from...); err != nil {
		t.Fatal(err)
	}
	ix, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ix.Close() })
	return ix
}

func TestBackupAndRestore(t *testing.T) {
	ix := openHere(t, Options{})
	step := func(fn func(cache.Writer) error) {
		t.Helper()
		if err := ix.Update(t.Context(), fn); err != nil {
			t.Fatal(err)
		}
	}
	backup := func(w io.Writer, since uint64) uint64 {
		t.Helper()
		until, err := ix.Backup(w, since)
		if err != nil {
			t.Fatal(err)
		}
		return until
	}
	var full, next, none bytes.Buffer
	step(putOne("a"))
	step(putOne("b"))
	at := backup(&full, 0)
	step(putOne("c"))
	step(func(w cache.Writer) error { return w.Delete([]byte("a")) })
	later := backup(&next, at)
	if again := backup(&none, later); again != later || none.Len() != 0 {
		t.Errorf("a backup of nothing: %d bytes, version %d, want 0 and %d", none.Len(), again, later)
	}

	first := restored(t, bytes.NewReader(full.Bytes()))
	if !has(t, first, "a") || !has(t, first, "b") || has(t, first, "c") {
		t.Error("the full backup must hold a and b")
	}
	both := restored(t, bytes.NewReader(full.Bytes()), iotest.OneByteReader(bytes.NewReader(next.Bytes())))
	if has(t, both, "a") || !has(t, both, "b") || !has(t, both, "c") {
		t.Error("with the second part b and c must be there, and a gone")
	}
	if err := both.Update(t.Context(), putOne("d")); err != nil || !has(t, both, "d") {
		t.Errorf("a restored index must take writes: %v", err)
	}
}

func TestThreat33RestoreRefuses(t *testing.T) {
	ix := openHere(t, Options{})
	if err := ix.Update(t.Context(), putOne("a")); err != nil {
		t.Fatal(err)
	}
	var whole bytes.Buffer
	if _, err := ix.Backup(&whole, 0); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := Restore(dir, Options{}, bytes.NewReader(whole.Bytes())); err != nil {
		t.Fatal(err)
	}
	if err := Restore(dir, Options{}); err == nil {
		t.Error("a folder with an index in it was taken")
	}
	for name, damaged := range map[string][]byte{
		"cut short":      whole.Bytes()[:whole.Len()-1],
		"cut in a head":  whole.Bytes()[:5],
		"absurd length":  bytes.Repeat([]byte{0xff}, 64),
		"not a database": append(binary.LittleEndian.AppendUint64(nil, 4), "text"...),
	} {
		if err := Restore(t.TempDir(), Options{}, bytes.NewReader(damaged)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte{})
	f.Add(append(binary.LittleEndian.AppendUint64(nil, 3), "abc"...))
	f.Add(append(binary.LittleEndian.AppendUint64(nil, 0), 1, 0, 0, 0, 0, 0, 0, 0, 'x'))
	f.Add(bytes.Repeat([]byte{0xff}, 9))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := io.ReadAll(&frames{src: bytes.NewReader(data)})
		if !bytes.HasPrefix(data, got) {
			t.Fatalf("%x became %x", data, got)
		}
		if err == nil && len(got) != len(data) {
			t.Fatalf("%d of %d bytes, and no error", len(got), len(data))
		}
		if err != nil && !errors.Is(err, errFrame) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatal(err)
		}
	})
}
