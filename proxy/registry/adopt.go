package registry

import (
	"bytes"
	"context"
	"errors"
	"io"

	"larder/cache"
	"larder/cache/refs"
)

// maxUses bounds how many uses of one blob are looked at.
const maxUses = 1000

// lead reports whether this flight has to fetch its bytes itself. Where the
// upstream is known to have them under this name, it does not while another
// flight fetches the same from there, and not where they are held from there. nil
// with false is a flight that ended well. Whoever leads must cede.
func (fl *flight) lead(digest string, adopt bool) (leader bool, err error) {
	e, k := fl.engine, part{fl.source.ID, digest}
	adopt = fl.bad == nil && (adopt || e.parts.named(fl.source.ID, fl.file.Name))
	for {
		e.mu.Lock()
		other := e.leaders[k]
		if other == nil {
			e.leaders[k] = fl
		}
		e.mu.Unlock()
		switch {
		case other == nil && adopt:
			// Whatever ended before is recorded by now.
			held, err := fl.adopt(digest)
			if held {
				fl.cede(digest)
				return false, errLanded
			}
			if err != nil {
				fl.cede(digest)
			}
			return err == nil, err
		case other == nil || !adopt:
			return true, nil
		}
		if shared, err := fl.share(other, digest); shared || err != nil {
			return false, err
		}
	}
}

// cede ends that a flight leads, if it does.
func (fl *flight) cede(digest string) {
	e, k := fl.engine, part{fl.source.ID, digest}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.leaders[k] == fl {
		delete(e.leaders, k)
	}
}

// share lets the clients of this flight follow what another one fetches, and
// takes that over once it is stored. false says that there was nothing to share.
func (fl *flight) share(other *flight, digest string) (bool, error) {
	e := fl.engine
	select {
	case <-e.life.Done():
		return false, e.life.Err()
	case <-other.ready:
	}
	other.readers.Add(1)
	defer other.leave()
	other.mu.Lock()
	partial, size, err := other.partial, other.size, other.err
	other.mu.Unlock()
	if err != nil || partial == nil {
		<-other.done
		return false, nil
	}
	fl.mu.Lock()
	fl.partial, fl.size = partial, size // ours to drop only once the other has ended, which is harmless
	fl.mu.Unlock()
	fl.idle.Store(e.now().UnixNano())
	close(fl.ready)
	<-other.done
	other.mu.Lock()
	err = other.err
	other.mu.Unlock()
	if err == nil {
		// Should the bytes be gone again, the clients have theirs all the same.
		_, err = fl.adopt(digest)
	}
	return true, err
}

// adopt makes this file of bytes that are held from the same upstream under
// another name. What was published here, or came from elsewhere, does not count:
// whether it is held must not be told by how soon it comes.
func (fl *flight) adopt(digest string) (bool, error) {
	e := fl.engine
	d, err := cache.ParseDigest(digest)
	if err != nil {
		return false, nil // no digest of ours: nothing is held under it
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(e.life), linkTimeout)
	defer cancel()
	unlock := e.opt.Locks.Lock(d)
	defer unlock()
	blob, from, err := fl.relation(ctx, d)
	if err != nil || from == nil {
		return false, err
	}
	fl.mediaType = from.mediaType(fl.file)
	facts, err := examine(fl.file, func() (io.ReadSeekCloser, error) { return e.opt.Store.Open(ctx, d) }, from.MediaType)
	if err != nil {
		return false, err
	}
	rec := fl.record(blob, facts)
	err = e.opt.Index.Update(ctx, func(w cache.Writer) error {
		if from, err = fl.relative(w, blob); err != nil || from == nil {
			return err // evicted meanwhile
		}
		if err := fl.current(w); err != nil {
			return err
		}
		if err := fl.noteName(w); err != nil {
			return err
		}
		if err := rec.put(w, fl.key); err != nil {
			return err
		}
		return refs.Link(w, blob, fl.edge(), e.now())
	})
	if errors.Is(err, errVoid) {
		return false, nil
	}
	if err != nil || from == nil {
		return false, err
	}
	fl.landed.Store(true)
	e.backoff.Remove(string(fl.key))
	return true, nil
}

// relation finds bytes that are held, and a file of the same upstream that they
// are; nil where there is none.
func (fl *flight) relation(ctx context.Context, d cache.Digest) (blob cache.Blob, from *fileRecord, err error) {
	e := fl.engine
	blob, err = e.opt.Store.Stat(ctx, d)
	if errors.Is(err, cache.ErrNotExist) {
		return blob, nil, nil
	}
	if err != nil {
		return blob, nil, err
	}
	err = e.opt.Index.View(ctx, func(r cache.Reader) (err error) {
		from, err = fl.relative(r, blob)
		return err
	})
	return blob, from, err
}

// relative finds a record of the same bytes from the same upstream, nil for none.
func (fl *flight) relative(r cache.Reader, blob cache.Blob) (*fileRecord, error) {
	return sameBytes(r, fl.source.ID, blob.Digest, func(rec *fileRecord) bool { return rec.Size == blob.Size })
}

// sameBytes finds a record of bytes that came from an upstream which is good
// enough, nil for none.
func sameBytes(r cache.Reader, id string, d cache.Digest, good func(*fileRecord) bool) (*fileRecord, error) {
	prefix, n := upstreamFileKey(id, ""), 0
	for edge, err := range refs.Edges(r, d) {
		if n++; err != nil || n > maxUses {
			return nil, err
		}
		if edge.Kind != refs.Cached || !bytes.HasPrefix(edge.Record, prefix) {
			continue
		}
		value, err := r.Get(edge.Record)
		if errors.Is(err, cache.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		rec, err := decodeFile(value)
		if err == nil && rec.Digest == d && good(rec) {
			return rec, nil
		}
	}
	return nil, nil
}
