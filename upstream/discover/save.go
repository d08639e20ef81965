package discover

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// fileVersion is the format of the file; a change of it gets another number.
const fileVersion = 1

type savedFile struct {
	Version int       `json:"version"`
	At      time.Time `json:"at"`
	Found   []Found   `json:"found"`
}

// Save remembers what was found, and when. Credentials are not written: they
// stay where the clients keep them. The file is whole or not there.
func Save(path string, found []Found, at time.Time) error {
	data, err := json.MarshalIndent(savedFile{fileVersion, at.UTC(), found}, "", "  ")
	if err != nil {
		return fmt.Errorf("remember upstreams: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return fmt.Errorf("remember upstreams: %w", err)
	}
	_, err = f.Write(append(data, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("remember upstreams: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

// Load returns what Save wrote, and its time. Entries with Secret lack their
// Auth: search for their formats again, which takes files only. Errors:
// fs.ErrNotExist when nothing was saved.
func Load(path string) ([]Found, time.Time, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("recall upstreams: %w", err)
	}
	var f savedFile
	if err := json.Unmarshal(data, &f); err != nil {
		return nil, time.Time{}, fmt.Errorf("recall upstreams: %s: %w", path, err)
	}
	if f.Version != fileVersion {
		return nil, time.Time{}, fmt.Errorf("recall upstreams: %s has version %d, want %d: delete it to search anew", path, f.Version, fileVersion)
	}
	return f.Found, f.At, nil
}
