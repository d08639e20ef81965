package audit

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"

	"larder/cache"
)

// Report is what Verify found.
type Report struct {
	Records uint64 `json:"records" doc:"Records that are whole and in their place, from the first on."`
	Head    Head   `json:"head" doc:"End of the log as its last record has it; note it elsewhere."`
	Fault   *Fault `json:"fault,omitempty" doc:"The first thing that is wrong."`
}

// Fault is the first thing that is wrong.
type Fault struct {
	Seq      uint64 `json:"seq" doc:"Sequence number of the record; 0 where it is the head of an empty log."`
	Sentence string `json:"sentence" doc:"What is wrong."`
}

func (f *Fault) Error() string { return f.Sentence }

func fault(seq uint64, format string, args ...any) error {
	return &Fault{seq, fmt.Sprintf(format, args...)}
}

// Verify reads the whole log and finds the first record that was edited, is
// missing, stands in another's place or is not the one that the next continues,
// an end that is not that of the head row, and decisions that cannot be found.
// noted are heads that were kept elsewhere and must be in the log. Records may
// be written meanwhile. Errors: only those of the Index; what is wrong with the
// log is in the Report.
func Verify(ctx context.Context, index cache.Index, noted ...Head) (Report, error) {
	v := verifier{noted: noted}
	for done := false; !done; {
		err := index.View(ctx, func(r cache.Reader) (err error) {
			done, err = v.page(r)
			return err
		})
		var wrong *Fault
		if errors.As(err, &wrong) {
			return v.report(wrong), nil
		}
		if err != nil {
			return Report{}, fmt.Errorf("verify the audit log: %w", err)
		}
	}
	return v.report(nil), nil
}

// verifier is how far a Verify has come: last was the last record that fits.
type verifier struct {
	noted []Head
	last  head
}

func (v *verifier) report(f *Fault) Report {
	return Report{Records: v.last.seq, Head: v.last.export(), Fault: f}
}

// page verifies some records and, behind the last one, the end. Both are seen in
// one transaction, so that a record written meanwhile is no fault.
func (v *verifier) page(r cache.Reader) (done bool, err error) {
	n := 0
	for row, err := range r.Scan(recordsKey(), v.position()) {
		if err != nil {
			return false, err
		}
		if err := v.step(r, row); err != nil {
			return false, err
		}
		if n++; n == page {
			return false, nil
		}
	}
	return true, v.end(r)
}

// position is the key behind which the next record stands. A row that sorts
// before the first record must be seen, too.
func (v *verifier) position() []byte {
	if v.last.seq == 0 {
		return nil
	}
	return recordKey(v.last.seq)
}

// step verifies one record and takes it as the last.
func (v *verifier) step(r cache.Reader, row cache.Row) error {
	seq := v.last.seq + 1
	if !bytes.Equal(row.Key, recordKey(seq)) {
		return fault(seq, "record %d is missing", seq)
	}
	s, err := split(row.Value)
	if err != nil {
		return fault(seq, "record %d: %s", seq, err)
	}
	record, err := s.record()
	switch {
	case err != nil:
		return fault(seq, "record %d: %s", seq, err)
	case record.Seq != seq:
		return fault(seq, "record %d was moved: in its place is record %d", seq, record.Seq)
	case s.prev != v.last.hash && seq == 1:
		return fault(1, "record 1 was replaced: it continues a record that is not there")
	case s.prev != v.last.hash:
		return fault(seq-1, "record %d was replaced: it is not the one that record %d continues", seq-1, seq)
	}
	if err := v.compare(head{seq, s.hash}); err != nil {
		return err
	}
	if err := listed(r, &record); err != nil {
		return err
	}
	v.last = head{seq, s.hash}
	return nil
}

// compare holds a record against what was noted of it.
func (v *verifier) compare(at head) error {
	for _, n := range v.noted {
		if n.Seq == at.seq && n.Hash != hex.EncodeToString(at.hash[:]) {
			return fault(at.seq, "record %d was replaced: it is not the one that was noted", at.seq)
		}
	}
	return nil
}

// listed checks that the decision of a record leads to it, or to the earlier one
// that it repeats.
func listed(r cache.Reader, record *Record) error {
	if record.DecisionID == "" {
		return nil
	}
	seq, err := readListed(r, record.DecisionID)
	if seq == record.Seq {
		return nil
	}
	if err == nil && seq < record.Seq {
		var value []byte
		value, err = r.Get(recordKey(seq))
		if first, bad := decode(seq, value); err == nil && bad == nil && first.DecisionID == record.DecisionID {
			return nil
		}
	}
	if err != nil && !errors.Is(err, cache.ErrNotExist) && !errors.Is(err, errListed) {
		return err
	}
	return fault(record.Seq, "record %d cannot be found by its decision %s: the row that lists it was changed", record.Seq, record.DecisionID)
}

// end compares the last record with the head row and with what was noted.
func (v *verifier) end(r cache.Reader) error {
	last := v.last.seq
	stored, err := readHead(r)
	switch {
	case errors.Is(err, errBadHead), err == nil && stored.seq == 0 && last > 0:
		return fault(last, "the head row is damaged or missing: the log ends with record %d, and whether more followed is not known", last)
	case err != nil:
		return err
	case stored.seq > last:
		return fault(last+1, "record %d is missing: the log was cut short, its end is record %d", last+1, stored.seq)
	case stored.seq < last:
		return fault(stored.seq+1, "record %d is behind the end that the head row tells, or that row was changed", stored.seq+1)
	case stored.hash != v.last.hash:
		return fault(last, "record %d was replaced, or the head row was changed: they do not fit", last)
	}
	for _, n := range v.noted {
		if n.Seq > last {
			return fault(last+1, "record %d is missing: the log was cut short, record %d was noted", last+1, n.Seq)
		}
	}
	return nil
}
