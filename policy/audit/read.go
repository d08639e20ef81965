package audit

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"larder/cache"
)

// page is how many rows one transaction reads: at most 4 MiB.
const page = 1000

// Filter selects records; what is empty selects all.
type Filter struct {
	Since, Until time.Time // Until itself is not in
	Actor        string    // id
	Action       string    // the whole word, or the part before its dot
	Decision     Decision
	Repository   string
	Package      string
}

func (f Filter) match(r *Record) bool {
	is := func(want, got string) bool { return want == "" || want == got }
	return (f.Since.IsZero() || !r.Time.Before(f.Since)) && (f.Until.IsZero() || r.Time.Before(f.Until)) &&
		is(f.Actor, r.Actor.ID) && is(string(f.Decision), string(r.Decision)) &&
		is(f.Repository, r.Resource.Repository) && is(f.Package, r.Resource.Package) &&
		(is(f.Action, r.Action) || strings.HasPrefix(r.Action, f.Action+"."))
}

// Export yields the records behind seq after, in order, up to the end that the
// log has when it begins. It holds a page of records in memory and no
// transaction while the caller works. An error ends it: one of the Index, or a
// record that is missing or does not fit its hash.
func Export(ctx context.Context, index cache.Index, after uint64, f Filter) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		x := export{index: index, after: after}
		for more := true; more; {
			more = x.next(ctx)
			for _, r := range x.page {
				if f.match(&r) && !yield(r, nil) {
					return
				}
			}
		}
		if x.err != nil {
			yield(Record{}, x.err)
		}
	}
}

// export is the state of one Export.
type export struct {
	index cache.Index
	after uint64
	end   uint64 // 0 before the first page
	page  []Record
	err   error
}

// next reads a page and reports whether there is more.
func (x *export) next(ctx context.Context) bool {
	x.page = x.page[:0]
	x.err = x.index.View(ctx, func(r cache.Reader) error {
		last, err := readHead(r)
		if err != nil {
			return err
		}
		if x.end == 0 {
			x.end = last.seq
		}
		return x.read(r)
	})
	return x.err == nil && x.after < x.end
}

func (x *export) read(r cache.Reader) error {
	if x.after >= x.end {
		return nil
	}
	for row, err := range r.Scan(recordsKey(), recordKey(x.after)) {
		if err != nil {
			return err
		}
		seq := x.after + 1
		if string(row.Key) != string(recordKey(seq)) {
			return missing(seq)
		}
		record, err := decode(seq, row.Value)
		if err != nil {
			return err
		}
		x.page, x.after = append(x.page, record), seq
		if len(x.page) == page || seq == x.end {
			return nil
		}
	}
	return missing(x.after + 1)
}

func missing(seq uint64) error { return fmt.Errorf("audit record %d is missing", seq) }

// Find returns the record of a decision: that of the first refusal, where it was
// repeated. Errors: cache.ErrNotExist.
func Find(ctx context.Context, index cache.Index, decision string) (r Record, err error) {
	if decision == "" || len(decision) > maxText {
		return r, fmt.Errorf("decision %.20q: %w", decision, cache.ErrNotExist)
	}
	err = index.View(ctx, func(reader cache.Reader) error {
		found, err := find(reader, decision)
		r = found
		return err
	})
	if err != nil {
		return Record{}, fmt.Errorf("decision %.64s: %w", decision, err)
	}
	return r, nil
}

var errListed = errors.New("the row that lists it is wrong")

func find(r cache.Reader, decision string) (Record, error) {
	seq, err := readListed(r, decision)
	if err != nil {
		return Record{}, err
	}
	value, err := r.Get(recordKey(seq))
	if err != nil {
		return Record{}, fmt.Errorf("audit record %d: %w", seq, err)
	}
	found, err := decode(seq, value)
	if err == nil && found.DecisionID != decision {
		err = errListed
	}
	return found, err
}

// readListed returns the record that a decision leads to. Errors:
// cache.ErrNotExist, errListed.
func readListed(r cache.Reader, decision string) (seq uint64, err error) {
	value, err := r.Get(decisionKey(decision))
	if err != nil {
		return 0, err
	}
	if len(value) != 8 {
		return 0, errListed
	}
	return binary.BigEndian.Uint64(value), nil
}
