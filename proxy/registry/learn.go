package registry

import (
	"context"
	"io"
	"maps"
	"slices"
	"time"

	"larder/cache"
	"larder/formats"
)

// Limits of what is learned anew of one package.
const (
	learnedRows  = 2000             // files and pointers
	learnedLong  = 64               // files that are read for it
	learnedEvery = 10 * time.Second // that it is learned again, at most
)

// found is what the index has of a package, as its rows are read.
type found struct {
	files    map[string]*fileRecord
	pointers map[string]string // name to version
}

// learned asks the rules by what is remembered of the files that refer to others,
// and where that is refused once more by what is held: a server that was started
// anew remembers nothing. ask may be called twice.
func (e *Engine) learned(q query, pkg string, ask func() error) error {
	before := e.parts.noted.Load()
	err := ask()
	if !isRefusal(err) {
		return err
	}
	if failed := e.learn(q, pkg); failed != nil {
		return failed
	}
	if e.parts.noted.Load() == before {
		return err
	}
	return ask()
}

// learn notes what the files of a package that are held refer to, and which
// pointers lead to them.
func (e *Engine) learn(q query, pkg string) error {
	composer, ok := q.registry.spec.Format.(Composer)
	if !ok {
		return nil
	}
	id := q.source.ID
	mark := string(pointerKey(id, pkg, ""))
	// Others may wait for it who go on when this caller leaves.
	ctx, cancel := context.WithTimeout(e.life, linkTimeout)
	defer cancel()
	_, err, _ := e.learning.Do(mark, func() (any, error) {
		if at, ok := e.learns.Get(mark); ok && within(at, e.now(), learnedEvery) {
			return nil, nil
		}
		f, err := e.find(ctx, id, pkg, composer.Whole(pkg))
		if err != nil {
			return nil, err
		}
		if err := e.noteFound(ctx, q, f, composer); err != nil {
			return nil, err
		}
		for name, version := range f.pointers {
			e.parts.note(id, composer.Whole(pkg)+version, owner{version: name, pkg: pkg})
		}
		e.learns.Add(mark, e.now())
		return nil, nil
	})
	return err
}

// find reads the rows of a package. Of one with more than learnedRows the others
// are known once they are asked for.
func (e *Engine) find(ctx context.Context, id, pkg, whole string) (*found, error) {
	f := &found{}
	err := e.opt.Index.View(ctx, func(r cache.Reader) error {
		f.files, f.pointers = map[string]*fileRecord{}, map[string]string{}
		prefix := upstreamFileKey(id, "")
		err := rows(r, upstreamFileKey(id, whole), func(row cache.Row) {
			if rec, err := decodeFile(row.Value); err == nil && rec.Package == pkg {
				f.files[string(row.Key[len(prefix):])] = rec
			}
		})
		if err != nil {
			return err
		}
		prefix = pointerKey(id, pkg, "")
		return rows(r, prefix, func(row cache.Row) {
			if rec := decodePointer(row.Value); rec != nil {
				f.pointers[string(row.Key[len(prefix):])] = rec.Version
			}
		})
	})
	return f, err
}

// rows reads up to learnedRows rows.
func rows(r cache.Reader, prefix []byte, read func(cache.Row)) error {
	n := 0
	for row, err := range r.Scan(prefix, nil) {
		if err != nil {
			return err
		}
		if n++; n > learnedRows {
			return nil
		}
		read(row)
	}
	return nil
}

func (e *Engine) noteFound(ctx context.Context, q query, f *found, composer Composer) error {
	long := 0
	for _, name := range slices.Sorted(maps.Keys(f.files)) {
		rec := f.files[name]
		if rec.Long {
			if long++; long > learnedLong {
				continue
			}
		}
		err := e.noteParts(ctx, q, formats.File{Package: rec.Package, Name: name, Check: func(src io.Reader, mediaType string) (formats.FileFacts, error) {
			return composer.Refers(rec.Package, src, mediaType)
		}}, rec)
		if err != nil && ctx.Err() != nil {
			return err
		}
		// Any other failure is one to read this file, which so refers to nothing:
		// whoever asks for it is told.
	}
	return nil
}

// drop forgets what a file or a pointer referred to that is no longer held.
func (p *parts) drop(id string, f formats.Forgotten) {
	is := func(o owner) bool {
		if o.file == "" {
			return f.Pointer != "" && o.version == f.Pointer && o.pkg == f.Package
		}
		return o.file == f.File
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range p.known.Keys() {
		list, _ := p.known.Peek(k)
		if k.upstream == id && slices.ContainsFunc(list, is) {
			p.known.Add(k, slices.DeleteFunc(slices.Clone(list), is))
		}
	}
}
