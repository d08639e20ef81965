package registry

import (
	"context"
	"errors"
	"time"

	"larder/cache"
	"larder/cache/refs"
	"larder/formats"
)

// belongs reports whether a package has a file. Links of those who had its name
// before are not among them: nobody retracted them.
func (f *fileRecord) belongs(p *formats.Package) bool {
	return f.Package == p.Name && (f.Version != "" || !f.Fetched.Before(p.Created))
}

// hostedRecord reads the record of a hosted file, and until when a lease holds
// it, zero if a version does. What a lease holds is not remembered: a sweep ends
// it without a change of the package.
func (e *Engine) hostedRecord(ctx context.Context, k []byte, changes uint64) (*fileRecord, time.Time, error) {
	if r, ok := e.records.Get(string(k)); ok && r.changes == changes {
		return r.fileRecord, time.Time{}, nil
	}
	var rec *fileRecord
	var lease refs.Edge
	err := e.opt.Index.View(ctx, func(r cache.Reader) error {
		var err error
		if rec, err = readFile(r, k); err != nil || rec.Version != "" {
			return err
		}
		lease, err = refs.Find(r, rec.Digest, refs.Lease, k)
		if errors.Is(err, cache.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return nil, time.Time{}, err
	}
	if lease.Expires.IsZero() {
		e.records.Add(string(k), remembered{rec, changes})
	}
	return rec, lease.Expires, nil
}

// promise makes true what a HEAD is about to say of a file: that it will be here
// when a version names it. It writes at most once in half a LinkLease. Errors:
// cache.ErrNotExist if the file went meanwhile.
func (e *Engine) promise(ctx context.Context, k []byte, rec *fileRecord, until time.Time) error {
	now := e.now()
	if until.IsZero() || until.Sub(now) >= formats.LinkLease/2 {
		return nil
	}
	return e.opt.Index.Update(ctx, func(w cache.Writer) error {
		is, err := readFile(w, k)
		if err != nil {
			return err
		}
		if is.Digest != rec.Digest || !is.Fetched.Equal(rec.Fetched) {
			return cache.ErrNotExist
		}
		return is.extend(w, k, now)
	})
}

// extend lets the lease of a link run for LinkLease from now, unless it runs
// longer or a version holds the file. Errors: cache.ErrNotExist if nothing holds it.
func (f *fileRecord) extend(w cache.Writer, k []byte, now time.Time) error {
	lease, err := refs.Find(w, f.Digest, refs.Lease, k)
	if errors.Is(err, cache.ErrNotExist) {
		_, err = refs.Find(w, f.Digest, refs.Hosted, k)
		return err
	}
	until := now.Add(formats.LinkLease)
	if err != nil || !lease.Expires.Before(until) {
		return err
	}
	lease.Expires = until
	return refs.Link(w, f.blob(), lease, now)
}

func (f *fileRecord) blob() cache.Blob { return cache.Blob{Digest: f.Digest, Size: f.Size} }
