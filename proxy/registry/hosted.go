package registry

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"time"

	"larder/cache"
	"larder/formats"
)

// maxMeta bounds the format's record of one version: policy.md section 8
// (package.json, nuspec, POM 4 MiB).
const maxMeta = 4 << 20

// chunkSize is how much of a version one row holds: below cache.MaxValue.
const chunkSize = cache.MaxValue - 1024

// head is the row of a hosted package.
type head struct {
	formats.Package
	LastSeq uint64 // of its versions
	// Released says that the name was given up: it is as if nothing was published,
	// but that versions up to GivenUp, its LastSeq then, stay taken and cannot be
	// restored.
	Released bool   `json:",omitempty"`
	GivenUp  uint64 `json:",omitempty"`
}

func readHead(r cache.Reader, format, pkg string) (*head, error) {
	value, err := r.Get(packageKey(format, pkg, partHead))
	if err != nil {
		return nil, err
	}
	var h head
	body, err := splitBody(value, &h)
	if err != nil {
		return nil, fmt.Errorf("package %s: %w", pkg, err)
	}
	h.Meta = body
	return &h, nil
}

func writeHead(w cache.Writer, format string, h *head) error {
	bare := *h
	bare.Meta = nil
	value, err := withBody(&bare, h.Meta)
	if err != nil {
		return err
	}
	if len(value) > cache.MaxValue {
		return formats.Refuse(formats.ErrTooLarge, fmt.Sprintf(
			"the metadata of %s takes %d bytes, the limit is %d", h.Name, len(value), cache.MaxValue))
	}
	return w.Put(packageKey(format, h.Name, partHead), value)
}

// readSeq finds a version's sequence number.
func readSeq(r cache.Reader, format, pkg, version string) (uint64, error) {
	value, err := r.Get(versionKey(format, pkg, version))
	if err != nil {
		return 0, err
	}
	if len(value) != 8 {
		return 0, fmt.Errorf("version row of %s %s: %w", pkg, version, errRow)
	}
	return binary.BigEndian.Uint64(value), nil
}

// releaseHead is a release without its meta, which follows it in the rows.
type releaseHead struct {
	formats.Release
	MetaSize int
}

func writeRelease(w cache.Writer, format, pkg string, seq uint64, r *formats.Release) error {
	if len(r.Meta) > maxMeta {
		return formats.Refuse(formats.ErrTooLarge, fmt.Sprintf(
			"the metadata of version %s takes %d bytes, the limit is %d", r.Version, len(r.Meta), maxMeta))
	}
	h := releaseHead{Release: *r, MetaSize: len(r.Meta)}
	h.Meta = nil
	rest, err := withBody(&h, r.Meta)
	if err != nil {
		return err
	}
	for chunk := uint16(0); len(rest) > 0; chunk++ {
		n := min(len(rest), chunkSize)
		if err := w.Put(releaseKey(format, pkg, seq, chunk), rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	return nil
}

// dropRelease removes the rows of a release, before a shorter one is written.
func dropRelease(w cache.Writer, format, pkg string, seq uint64) error {
	prefix := releaseKey(format, pkg, seq, 0)
	var keys [][]byte
	for row, err := range w.Scan(prefix[:len(prefix)-2], nil) {
		if err != nil {
			return err
		}
		keys = append(keys, row.Key)
	}
	for _, k := range keys {
		if err := w.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

func readRelease(r cache.Reader, format, pkg string, seq uint64) (*formats.Release, error) {
	prefix := releaseKey(format, pkg, seq, 0)
	for rel, err := range scanReleases(r, prefix[:len(prefix)-2], nil) {
		return rel.Release, err
	}
	return nil, cache.ErrNotExist
}

// stored is a release with the number it is stored under.
type stored struct {
	*formats.Release
	seq uint64
}

// scanReleases joins the rows below prefix to releases, in order of publication.
func scanReleases(r cache.Reader, prefix, after []byte) iter.Seq2[stored, error] {
	return func(yield func(stored, error) bool) {
		var joined []byte
		var seq uint64
		flush := func() bool {
			if joined == nil {
				return true
			}
			rel, err := joinRelease(joined)
			joined = nil
			return yield(stored{rel, seq}, err)
		}
		for row, err := range r.Scan(prefix, after) {
			if err != nil {
				yield(stored{}, err)
				return
			}
			n := len(row.Key)
			if binary.BigEndian.Uint16(row.Key[n-2:]) == 0 {
				if !flush() {
					return
				}
				seq = binary.BigEndian.Uint64(row.Key[n-10:])
			}
			joined = append(joined, row.Value...)
		}
		flush()
	}
}

func joinRelease(row []byte) (*formats.Release, error) {
	var h releaseHead
	meta, err := splitBody(row, &h)
	if err != nil {
		return nil, fmt.Errorf("release record: %w", err)
	}
	if len(meta) != h.MetaSize {
		return nil, fmt.Errorf("release record of %s has %d bytes of metadata, want %d", h.Version, len(meta), h.MetaSize)
	}
	h.Meta = meta
	return &h.Release, nil
}

// event is one row of the journal: what a hosted package went through, in the
// order of the commits. Registry-wide indexes that only grow (RubyGems) and
// webhooks read it.
type event struct {
	Time     time.Time `json:"time"`
	Format   string    `json:"format"`
	Package  string    `json:"package"`
	Version  string    `json:"version,omitempty"`
	What     string    `json:"what"`
	Revision uint64    `json:"revision,omitempty"`
	Actor    string    `json:"actor,omitempty"`
}

func appendJournal(w cache.Writer, e event) error {
	last := []byte("mjournal")
	var seq uint64
	value, err := w.Get(last)
	switch {
	case err == nil && len(value) == 8:
		seq = binary.BigEndian.Uint64(value)
	case err != nil && !errors.Is(err, cache.ErrNotExist):
		return err
	}
	row, err := encodeRow(e)
	if err != nil {
		return err
	}
	if err := w.Put(last, binary.BigEndian.AppendUint64(nil, seq+1)); err != nil {
		return err
	}
	return w.Put(journalKey(seq+1), row)
}
