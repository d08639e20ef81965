package disk_test

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"larder/cache/disk"
)

// A hit writes nothing, not even when the file was last read: the time of the
// first read after a write would cost a write of the file's inode.
func TestReadsNoteNoTime(t *testing.T) {
	name := filepath.Join(t.TempDir(), "blob")
	if err := os.WriteFile(name, []byte("bytes"), 0o444); err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-48 * time.Hour).Truncate(time.Second)
	if err := os.Chtimes(name, long, time.Time{}); err != nil {
		t.Fatal(err)
	}
	f, err := disk.OS{}.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if text, err := io.ReadAll(f); err != nil || string(text) != "bytes" {
		t.Fatalf("read %q: %v", text, err)
	}
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		t.Fatal(err)
	}
	if read := time.Unix(st.Atim.Unix()); !read.Equal(long) {
		t.Errorf("the file was last read at %v, want %v still", read, long)
	}
}
