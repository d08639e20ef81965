package seed

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"time"

	"larder/cache"
	"larder/cache/badger"
	"larder/cache/memory"
	"larder/cache/refs"
)

// Package is one that a server has cached: its document and one tarball.
type Package struct {
	Name    string // no other record may hold it
	Tarball []byte
}

// Sample is what a server records of one cached package.
type Sample struct {
	of   Package
	rows []cache.Row // those that cache/refs does not write
	uses []use       // the blobs of those it does
}

// use is a blob that a record of the package names or holds.
type use struct {
	record []byte
	inline int64 // bytes that lie in the record; 0 is the tarball
}

// Learn reads from the index of a data folder what a server recorded of a
// package, and fails if it does not foretell what it recorded of a second one.
func Learn(ctx context.Context, data string, of, second Package) (*Sample, error) {
	ix, err := badger.Open(index(data), badger.Options{})
	if err != nil {
		return nil, fmt.Errorf("learn the records of a package: %w", err)
	}
	s, err := learn(ctx, ix, of)
	if err == nil {
		err = s.foretells(ctx, ix, second)
	}
	if err = errors.Join(err, ix.Close()); err != nil {
		return nil, fmt.Errorf("learn the records of a package: %w", err)
	}
	return s, nil
}

func learn(ctx context.Context, ix cache.Index, of Package) (*Sample, error) {
	s := &Sample{of: of}
	all, err := recorded(ctx, ix, of)
	if err != nil {
		return nil, err
	}
	for _, row := range all {
		if !written(row.Key) {
			s.rows = append(s.rows, row)
		}
	}
	err = ix.View(ctx, func(r cache.Reader) error {
		for u, err := range usesOf(r, of) {
			if err != nil {
				return err
			}
			one, err := understand(r, of, u)
			if err != nil {
				return err
			}
			s.uses = append(s.uses, one)
		}
		return nil
	})
	if err == nil && len(s.uses) == 0 {
		err = fmt.Errorf("no record uses the tarball of %s", of.Name)
	}
	return s, err
}

// usesOf yields the edges of the records that belong to a package.
func usesOf(r cache.Reader, p Package) iter.Seq2[refs.Use, error] {
	return func(yield func(refs.Use, error) bool) {
		for u, err := range refs.AllEdges(r, nil) {
			if err == nil && !bytes.Contains(u.Edge.Record, []byte(p.Name)) {
				continue
			}
			if !yield(u, err) {
				return
			}
		}
	}
}

// understand says how the like of an edge is made for another package.
func understand(r cache.Reader, p Package, u refs.Use) (use, error) {
	switch {
	case u.Edge.Kind == refs.Cached && u.Digest == p.digest():
		return use{record: u.Edge.Record}, nil
	case u.Edge.Kind == refs.Inline:
		info, err := refs.Lookup(r, u.Digest)
		return use{record: u.Edge.Record, inline: info.Blob.Size}, err
	}
	return use{}, fmt.Errorf("%s has an edge of kind %q to %s, which seeding knows nothing of", p.Name, u.Edge.Kind, u.Digest)
}

// written reports whether cache/refs writes the records with this key.
func written(key []byte) bool { return bytes.IndexByte([]byte("bxaeg"), key[0]) >= 0 }

// recorded returns the rows whose keys speak of a package or of its blobs.
func recorded(ctx context.Context, ix cache.Index, p Package) ([]cache.Row, error) {
	names := [][]byte{[]byte(p.Name)}
	var found []cache.Row
	err := ix.View(ctx, func(r cache.Reader) error {
		for u, err := range usesOf(r, p) {
			if err != nil {
				return err
			}
			names = append(names, u.Digest[:])
		}
		for row, err := range r.Scan(nil, nil) {
			if err != nil {
				return err
			}
			if slices.ContainsFunc(names, func(name []byte) bool { return bytes.Contains(row.Key, name) }) {
				found = append(found, row)
			}
		}
		return nil
	})
	return found, err
}

// foretells compares the keys that p would get with those that it has.
func (s *Sample) foretells(ctx context.Context, ix cache.Index, p Package) error {
	var at refs.Access
	err := ix.View(ctx, func(r cache.Reader) error {
		var err error
		at, err = refs.ReadAccess(r, p.digest())
		return err
	})
	if err != nil {
		return fmt.Errorf("place of %s: %w", p.Name, err)
	}
	made, err := s.records(p)
	if err != nil {
		return err
	}
	guess := memory.NewIndex()
	defer guess.Close()
	hour := time.Unix(int64(at.Hour)*3600, 0)
	if err := guess.Update(ctx, func(w cache.Writer) error { return made.write(w, hour) }); err != nil {
		return err
	}
	has, err := recorded(ctx, ix, p)
	if err != nil {
		return err
	}
	would, err := recorded(ctx, guess, p)
	if err != nil {
		return err
	}
	if got, want := keys(would), keys(has); !maps.Equal(got, want) {
		return fmt.Errorf("%s has records %q, foretold were %q", p.Name, slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got)))
	}
	return nil
}

// keys maps the rows' keys to the sizes of their values, as far as these are
// the same for every package of the same length of name: compressed bodies and
// times written without zeros at their end are not.
func keys(rows []cache.Row) map[string]int {
	all := make(map[string]int, len(rows))
	for _, row := range rows {
		all[string(row.Key)] = 0
		if written(row.Key) {
			all[string(row.Key)] = len(row.Value)
		}
	}
	return all
}

func (p Package) digest() cache.Digest { return sha256.Sum256(p.Tarball) }

// blob describes the tarball as the fill of an npm package does.
func (p Package) blob() (cache.Blob, error) {
	h, err := cache.NewHasher(cache.SHA512)
	if err != nil {
		return cache.Blob{}, err
	}
	h.Write(p.Tarball) // never fails
	return h.Blob(), nil
}

// PerPackage is how many records one package makes.
func (s *Sample) PerPackage() int { return len(s.rows) + 4*len(s.uses) } // b, x, a and e of each blob

// records is what one package makes.
type records struct {
	rows  []cache.Row
	links []link
}

type link struct {
	blob cache.Blob
	edge refs.Edge
}

// records foretells what the server would record of p.
func (s *Sample) records(p Package) (records, error) {
	blob, err := p.blob()
	if err != nil {
		return records{}, err
	}
	change := s.changer(p)
	var made records
	for _, u := range s.uses {
		one := link{blob, refs.Edge{Kind: refs.Cached, Record: change(u.record)}}
		if u.inline > 0 {
			one.blob, one.edge = refs.Inlined(change(u.record), u.inline)
		}
		made.links = append(made.links, one)
	}
	for _, row := range s.rows {
		made.rows = append(made.rows, cache.Row{Key: change(row.Key), Value: change(row.Value)})
	}
	return made, nil
}

// write records a package as the server would have at a time.
func (m records) write(w cache.Writer, at time.Time) error {
	for _, row := range m.rows {
		if err := w.Put(row.Key, row.Value); err != nil {
			return err
		}
	}
	for _, l := range m.links {
		if err := refs.Link(w, l.blob, l.edge, at); err != nil {
			return err
		}
	}
	return nil
}

// changer returns what makes the bytes of the sample those of p. Its name must
// be as long, because records hold lengths too.
func (s *Sample) changer(p Package) func([]byte) []byte {
	was, is := s.of.digest(), p.digest()
	pairs := [][2][]byte{
		{[]byte(s.of.Name), []byte(p.Name)},
		{was[:], is[:]},
		{[]byte(was.String()), []byte(is.String())},
	}
	return func(b []byte) []byte {
		for _, pair := range pairs {
			b = bytes.ReplaceAll(b, pair[0], pair[1])
		}
		return b
	}
}
