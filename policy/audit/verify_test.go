package audit

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"larder/cache"
	"larder/cache/clocktest"
	"larder/cache/memory"
)

// logged is a log of n changes and one refusal, which is the last record.
func logged(t *testing.T, n int) cache.Index {
	t.Helper()
	index := memory.NewIndex()
	fill(t, index, n)
	r := refusal("left-pad")
	r.Decision, r.DecisionID = Deny, "DECISION"
	record(t, index, Chain{Clock: clocktest.New(0).Now}, r)
	wantClean(t, index, uint64(n+1))
	return index
}

// Whatever byte is edited, Verify names the record (policy.md section 12, row 37).
func TestThreat37EditedByte(t *testing.T) {
	index := logged(t, 4)
	for _, row := range rows(t, index) {
		var want uint64 = 5 // head and list tell of the last record
		if bytes.HasPrefix(row.Key, recordsKey()) {
			want = binary.BigEndian.Uint64(row.Key[2:])
		}
		for i := range row.Value {
			edited := bytes.Clone(row.Value)
			edited[i] ^= 1 << (i % 8)
			update(t, index, func(w cache.Writer) error { return w.Put(row.Key, edited) })
			report, err := Verify(t.Context(), index)
			must(t, err)
			switch {
			case report.Fault == nil:
				t.Errorf("byte %d of row %q was changed and nobody sees it", i, row.Key)
			case bytes.Equal(row.Key, headKey()):
				// Another end is told of from the record on that it names.
			case report.Fault.Seq != want || report.Records != want-1:
				t.Errorf("byte %d of record %d: %+v", i, want, report.Fault)
			}
		}
		update(t, index, func(w cache.Writer) error { return w.Put(row.Key, row.Value) })
	}
	wantClean(t, index, 5)
}

// forge writes record seq anew, with a hash that fits it, as somebody would who
// knows the format.
func forge(w cache.Writer, seq uint64) (hash, error) {
	value, err := w.Get(recordKey(seq))
	if err != nil {
		return hash{}, err
	}
	s, err := split(value)
	if err != nil {
		return hash{}, err
	}
	r := change(int(seq) + 1000)
	r.Actor = Actor{ID: "mallory", Kind: User}
	forged, err := seal(r)
	if err != nil {
		return hash{}, err
	}
	value, h := forged.row(seq, s.prev)
	return h, w.Put(recordKey(seq), value)
}

func TestThreat37Tampering(t *testing.T) {
	swap := func(w cache.Writer) error {
		a, errA := w.Get(recordKey(2))
		b, errB := w.Get(recordKey(3))
		return errors.Join(errA, errB, w.Put(recordKey(2), b), w.Put(recordKey(3), a))
	}
	for name, c := range map[string]struct {
		tamper func(w cache.Writer) error
		seq    uint64
		says   string
	}{
		"a gap":          {func(w cache.Writer) error { return w.Delete(recordKey(3)) }, 3, "record 3 is missing"},
		"the first gone": {func(w cache.Writer) error { return w.Delete(recordKey(1)) }, 1, "record 1 is missing"},
		"the last gone":  {func(w cache.Writer) error { return w.Delete(recordKey(5)) }, 5, "record 5 is missing: the log was cut short, its end is record 5"},
		"all gone": {func(w cache.Writer) error {
			for seq := range uint64(5) {
				if err := w.Delete(recordKey(seq + 1)); err != nil {
					return err
				}
			}
			return nil
		}, 1, "cut short"},
		"another order": {swap, 2, "record 2 was moved: in its place is record 3"},
		"a forged record": {func(w cache.Writer) error {
			_, err := forge(w, 3)
			return err
		}, 3, "record 3 was replaced"},
		"a forged last record": {func(w cache.Writer) error {
			_, err := forge(w, 5)
			return err
		}, 5, "record 5 was replaced"},
		"a forged first record": {func(w cache.Writer) error {
			s, err := seal(change(9))
			if err != nil {
				return err
			}
			value, _ := s.row(1, hash{1})
			return w.Put(recordKey(1), value)
		}, 1, "record 1 was replaced"},
		"a record added": {func(w cache.Writer) error {
			s, err := seal(change(9))
			if err != nil {
				return err
			}
			last, err := readHead(w)
			if err != nil {
				return err
			}
			value, _ := s.row(6, last.hash)
			return w.Put(recordKey(6), value)
		}, 6, "behind the end"},
		"no head":        {func(w cache.Writer) error { return w.Delete(headKey()) }, 5, "head row"},
		"half a head":    {func(w cache.Writer) error { return w.Put(headKey(), []byte{rowVersion, 0}) }, 5, "head row"},
		"an odd key":     {func(w cache.Writer) error { return w.Put([]byte("lr\x00"), nil) }, 1, "record 1 is missing"},
		"an odd version": {func(w cache.Writer) error { return w.Put(recordKey(2), []byte{9, 9}) }, 2, "unknown version"},
		"list row gone":  {func(w cache.Writer) error { return w.Delete(decisionKey("DECISION")) }, 5, "cannot be found by its decision DECISION"},
		"list row elsewhere": {func(w cache.Writer) error {
			return w.Put(decisionKey("DECISION"), binary.BigEndian.AppendUint64(nil, 2))
		}, 5, "cannot be found"},
	} {
		index := logged(t, 4)
		update(t, index, c.tamper)
		report, err := Verify(t.Context(), index)
		must(t, err)
		if report.Fault == nil || report.Fault.Seq != c.seq || !strings.Contains(report.Fault.Sentence, c.says) {
			t.Errorf("%s: %+v, want record %d and %q", name, report.Fault, c.seq, c.says)
		}
	}
}

// A log that was written anew, or cut together with its head, shows only against
// a head that was noted elsewhere.
func TestThreat37NotedHead(t *testing.T) {
	index := logged(t, 4)
	end := wantClean(t, index, 5).Head
	middle := Head{Seq: 3, Hash: records(t, index)[2].Hash}
	wantClean(t, index, 5, end, middle)
	fill(t, index, 2)
	wantClean(t, index, 7, end, middle)

	anew := memory.NewIndex()
	fill(t, anew, 3)
	update(t, anew, func(w cache.Writer) error { return Chain{}.Append(t.Context(), w, change(77)) })
	wantClean(t, anew, 4)
	for _, c := range []struct {
		noted Head
		seq   uint64
		says  string
	}{
		{Head{Seq: 4, Hash: end.Hash}, 4, "not the one that was noted"},
		{end, 5, "record 5 was noted"},
	} {
		report, err := Verify(t.Context(), anew, middle, c.noted)
		must(t, err)
		if report.Fault == nil || report.Fault.Seq != c.seq || !strings.Contains(report.Fault.Sentence, c.says) {
			t.Errorf("noted %v: %+v", c.noted, report.Fault)
		}
	}
}

func TestVerifyManyPages(t *testing.T) {
	index := memory.NewIndex()
	wantClean(t, index, 0)
	fill(t, index, 2*page)
	wantClean(t, index, 2*page)
	fill(t, index, 1)
	wantClean(t, index, 2*page+1)
	update(t, index, func(w cache.Writer) error { return w.Delete(recordKey(page + 1)) })
	report, err := Verify(t.Context(), index)
	must(t, err)
	if report.Fault == nil || report.Fault.Seq != page+1 || report.Records != page {
		t.Errorf("%+v, %v", report, report.Fault)
	}
}

// The repeats of a decision lead to its first record.
func TestVerifyRepeats(t *testing.T) {
	index := logged(t, 1)
	r := refusal("left-pad")
	r.Decision, r.DecisionID, r.Count = Deny, "DECISION", 40
	record(t, index, Chain{}, r)
	wantClean(t, index, 3)
	found, err := Find(t.Context(), index, "DECISION")
	if err != nil || found.Seq != 2 {
		t.Errorf("found %+v, %v", found, err)
	}
}

func TestVerifyPassesErrorsOn(t *testing.T) {
	index := logged(t, 2)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Verify(ctx, index); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	must(t, index.Close())
	if _, err := Verify(t.Context(), index); err == nil {
		t.Error("a closed index was verified")
	}
}
