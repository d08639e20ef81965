package seed

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
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
	of     Package
	rows   []cache.Row // those that cache/refs does not write
	record []byte      // key of the one that names the blob
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
	uses := 0
	err = ix.View(ctx, func(r cache.Reader) error {
		for e, err := range refs.Edges(r, of.digest()) {
			if err != nil {
				return err
			}
			s.record = e.Record
			uses++
		}
		return nil
	})
	if err == nil && uses != 1 {
		err = fmt.Errorf("%d records use the tarball of %s, want 1", uses, of.Name)
	}
	return s, err
}

// written reports whether cache/refs writes the records with this key.
func written(key []byte) bool { return bytes.IndexByte([]byte("bxaeg"), key[0]) >= 0 }

// recorded returns the rows whose keys speak of a package or of its tarball.
func recorded(ctx context.Context, ix cache.Index, p Package) ([]cache.Row, error) {
	d := p.digest()
	var found []cache.Row
	err := ix.View(ctx, func(r cache.Reader) error {
		for row, err := range r.Scan(nil, nil) {
			if err != nil {
				return err
			}
			if bytes.Contains(row.Key, []byte(p.Name)) || bytes.Contains(row.Key, d[:]) {
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
func (s *Sample) PerPackage() int { return len(s.rows) + 4 } // b, x, a and e of cache/refs

// records is what one package makes.
type records struct {
	rows []cache.Row
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
	made := records{blob: blob, edge: refs.Edge{Kind: refs.Cached, Record: change(s.record)}}
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
	return refs.Link(w, m.blob, m.edge, at)
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
