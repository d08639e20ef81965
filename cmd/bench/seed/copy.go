package seed

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Copy makes a second data folder of one whose server does not run. The blobs
// are the same files under second names: whoever deletes one leaves the other.
func Copy(from, to string) error {
	if err := os.CopyFS(index(to), os.DirFS(index(from))); err != nil {
		return fmt.Errorf("copy the index: %w", err)
	}
	for _, name := range []string{"VERSION", "admin.token"} {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), text, 0o600)
		}
		if err != nil {
			return fmt.Errorf("copy the data folder: %w", err)
		}
	}
	if err := second(filepath.Join(from, "blobs"), filepath.Join(to, "blobs")); err != nil {
		return fmt.Errorf("link the blobs: %w", err)
	}
	return nil
}

// second gives all files of a folder second names in another.
func second(from, to string) error {
	return filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rest, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if e.IsDir() {
			return os.MkdirAll(filepath.Join(to, rest), 0o700)
		}
		return os.Link(path, filepath.Join(to, rest))
	})
}
