package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"larder/cache"
	"larder/cache/refs"
	"larder/formats"
	"larder/upstream"
)

// algorithms names each checksum that must be computed.
func algorithms(want []cache.Sum) []cache.Algorithm {
	var a []cache.Algorithm
	for _, w := range want {
		a = append(a, w.Algorithm)
	}
	return a
}

func (fl *flight) fill(d *download, partial cache.Partial, want []cache.Sum) error {
	size := int64(readSize)
	if d.size >= 0 {
		size = min(size, d.size+1) // the last byte is room to see the end
	}
	buf := make([]byte, size)
	for {
		n, err := d.Read(buf)
		if n > 0 {
			if err := fl.makeRoom(d); err != nil {
				return err
			}
			if _, err := partial.Write(buf[:n]); err != nil {
				return corrupt(err)
			}
			fl.written.Store(d.offset)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if fl.abandoned(d) {
			return fmt.Errorf("%s: every reader has left: %w", fl.file.Name, cache.ErrAborted)
		}
	}
	blob, err := partial.Verify(want...)
	if err != nil {
		return corrupt(fmt.Errorf("%s from upstream %s: %w", fl.file.Name, fl.source.ID, err))
	}
	facts, err := examine(fl.file, partial.Open, fl.mediaType)
	if err != nil {
		return fmt.Errorf("%s from upstream %s: %w", fl.file.Name, fl.source.ID, err)
	}
	return fl.keep(partial, blob, facts)
}

// firstRoom is what room is made for at once for a body of unknown length, in bytes.
const firstRoom = 1 << 20

// makeRoom holds a body of unknown length to the budget as it grows. It asks
// for twice of what there is, so that it asks seldom.
func (fl *flight) makeRoom(d *download) error {
	if d.size >= 0 || d.offset <= fl.reserved {
		return nil
	}
	fl.reserved = max(2*d.offset, firstRoom)
	return fl.engine.opt.Room.Reserve(fl.engine.life, fl.reserved)
}

// corrupt says of the upstream what the store says of bytes.
func corrupt(err error) error {
	if errors.Is(err, cache.ErrCorrupt) {
		return fmt.Errorf("%w: %w", upstream.ErrCorrupt, err)
	}
	return err
}

func (fl *flight) abandoned(d *download) bool {
	if fl.readers.Load() > 0 || (d.size >= 0 && (d.size <= keepFetching || d.offset > d.size/2)) {
		return false
	}
	return fl.engine.now().Sub(time.Unix(0, fl.idle.Load())) > lonely
}

// keep commits the bytes and their record, behind the readers' backs.
func (fl *flight) keep(partial cache.Partial, blob cache.Blob, facts formats.FileFacts) error {
	e := fl.engine
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.life), linkTimeout)
	defer cancel()
	rec := fl.record(blob, facts)
	err := e.commitCached(ctx, partial, blob, fl.edge(), func(w cache.Writer) error {
		if err := fl.current(w); err != nil {
			return err
		}
		if err := fl.noteName(w); err != nil {
			return err
		}
		if err := rec.put(w, fl.key); err != nil || fl.sealed(blob.Digest) {
			return err
		}
		return w.Put(seenKey(fl.source.ID, fl.file.Name), append([]byte{rowVersion}, blob.Digest[:]...))
	})
	if err != nil && !errors.Is(err, errVoid) {
		return err
	}
	fl.landed.Store(true)
	e.backoff.Remove(string(fl.key))
	return nil
}

// edge is how the record holds the bytes.
func (fl *flight) edge() refs.Edge {
	return refs.Edge{Kind: refs.Cached, Record: fl.key, Aged: fl.file.Early}
}

// errVoid says that an operator dropped the file while it was fetched. Who reads it
// reads on, and the sweep has the bytes.
var errVoid = errors.New("dropped while it was fetched")

// current says whether the file may still be recorded. It reads the record's row,
// so that a drop at the same time makes this transaction run again. Errors: errVoid.
func (fl *flight) current(r cache.Reader) error {
	_, err := r.Get(fl.key)
	switch {
	case fl.void.Load():
		return errVoid
	case errors.Is(err, cache.ErrNotExist):
		return nil
	}
	return err
}

// record is what is noted of the file. What it refers to is left out where that
// is long: it is in the bytes.
func (fl *flight) record(blob cache.Blob, facts formats.FileFacts) *fileRecord {
	rec := &fileRecord{
		Digest: blob.Digest, Size: blob.Size, MediaType: cmp.Or(facts.MediaType, fl.mediaType),
		Package: fl.file.Package, Version: fl.file.Version, Published: fl.published, Fetched: fl.engine.now().UTC(),
	}
	if size := 0; fl.file.Check != nil {
		for _, name := range facts.Needs {
			size += len(name)
		}
		if rec.Long = size > notedNeeds; !rec.Long {
			rec.Needs = facts.Needs
		}
	}
	return rec
}

// sealed says that the name of the file tells its bytes, so that nobody has to
// remember which ones it had first. Elsewhere a digest in a name is a word of the
// upstream's, which may put other bytes behind it.
func (fl *flight) sealed(d cache.Digest) bool {
	_, ok := fl.registry.spec.Format.(Composer)
	return ok && strings.Contains(fl.file.Name, d.String())
}

// firstSeen returns the digest that a file had when it was first fetched: the
// pin that a silent change upstream runs into.
func (e *Engine) firstSeen(ctx context.Context, id, name string) ([]cache.Sum, error) {
	var pin []cache.Sum
	err := e.opt.Index.View(ctx, func(r cache.Reader) error {
		value, err := r.Get(seenKey(id, name))
		if err != nil {
			return err
		}
		if len(value) != 1+len(cache.Digest{}) || value[0] != rowVersion {
			return errRow
		}
		pin = []cache.Sum{{Algorithm: cache.SHA256, Value: value[1:]}}
		return nil
	})
	if errors.Is(err, cache.ErrNotExist) {
		return nil, nil
	}
	return pin, err
}
