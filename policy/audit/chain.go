package audit

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"larder/cache"
)

// Chain appends records. The zero value is ready.
type Chain struct {
	Node  string           // name of this process among several; "" for the only one
	Clock func() time.Time // nil: time.Now
}

func (c Chain) now() time.Time {
	if c.Clock == nil {
		return time.Now()
	}
	return c.Clock()
}

// Append writes a record in the transaction of the change that it tells of. It
// takes from the Origin of ctx what the record does not say, and sets seq, time,
// node and the hashes. Run twice, as functions of Index.Update may be, it writes
// the same record to the same place; the failure of the function leaves nothing.
// Errors: a record without action or decision, those of the Index. The change
// must fail with it.
func (c Chain) Append(ctx context.Context, w cache.Writer, r Record) error {
	s, err := seal(c.fill(ctx, r))
	if err != nil {
		return err
	}
	return s.append(w)
}

// fill adds what is known without the caller.
func (c Chain) fill(ctx context.Context, r Record) Record {
	r.Time, r.Node = c.now(), c.Node
	o, ok := From(ctx)
	if ok {
		o.complete(&r)
	}
	if r.Actor.Kind == "" {
		r.Actor.Kind = Unknown
	}
	return r
}

// append writes the record behind the last one. Nothing else can write in
// between, because the functions of Index.Update run one after the other.
func (s sealed) append(w cache.Writer) error {
	last, err := readHead(w)
	if err != nil {
		return err
	}
	if last.seq == 0 {
		if err := mustBeEmpty(w); err != nil {
			return err
		}
	}
	seq := last.seq + 1
	value, h := s.row(seq, last.hash)
	if err := w.Put(recordKey(seq), value); err != nil {
		return fmt.Errorf("write audit record %d: %w", seq, err)
	}
	if err := w.Put(headKey(), head{seq, h}.encode()); err != nil {
		return fmt.Errorf("write the head of the audit log: %w", err)
	}
	return s.list(w, seq)
}

// mustBeEmpty keeps a log that lost its head from being written over from its
// beginning.
func mustBeEmpty(r cache.Reader) error {
	for _, err := range r.Scan(recordsKey(), nil) {
		if err != nil {
			return fmt.Errorf("read the audit log: %w", err)
		}
		return errNoHead
	}
	return nil
}

// list makes the decision findable. Later records of the same one only count
// how often it was repeated.
func (s sealed) list(w cache.Writer, seq uint64) error {
	if s.decision == "" {
		return nil
	}
	k := decisionKey(s.decision)
	_, err := w.Get(k)
	if err == nil {
		return nil
	}
	if !errors.Is(err, cache.ErrNotExist) {
		return fmt.Errorf("look up decision %s: %w", s.decision, err)
	}
	return w.Put(k, binary.BigEndian.AppendUint64(nil, seq))
}

var (
	errNoHead  = errors.New("the audit log has records but no head: it was tampered with; restore a backup")
	errBadHead = errors.New("the head of the audit log cannot be read: it was tampered with; restore a backup")
)

// head is the row that says where the log ends; the zero value is an empty log.
type head struct {
	seq  uint64
	hash hash
}

func (h head) encode() []byte {
	b := binary.BigEndian.AppendUint64([]byte{rowVersion}, h.seq)
	return append(b, h.hash[:]...)
}

func readHead(r cache.Reader) (head, error) {
	value, err := r.Get(headKey())
	switch {
	case errors.Is(err, cache.ErrNotExist):
		return head{}, nil
	case err != nil:
		return head{}, fmt.Errorf("read the head of the audit log: %w", err)
	case len(value) != 9+len(hash{}) || value[0] != rowVersion:
		return head{}, errBadHead
	}
	h := head{binary.BigEndian.Uint64(value[1:9]), hash(value[9:])}
	if h.seq == 0 {
		return head{}, errBadHead
	}
	return h, nil
}

// Head is the end of a log, and stands for all before it. Noted elsewhere, it
// lets Verify see that the whole log was replaced.
type Head struct {
	Seq  uint64 `json:"seq" doc:"Sequence number of the last record; 0 for an empty log."`
	Hash string `json:"hash" doc:"Its hash, in hexadecimal."`
}

func (h head) export() Head { return Head{h.seq, hex.EncodeToString(h.hash[:])} }

// ReadHead returns the end of the log.
func ReadHead(r cache.Reader) (Head, error) {
	h, err := readHead(r)
	return h.export(), err
}

// String returns seq and hash with a colon between, as ParseHead reads it.
func (h Head) String() string { return strconv.FormatUint(h.Seq, 10) + ":" + h.Hash }

// ParseHead reads what String wrote.
func ParseHead(s string) (Head, error) {
	seq, text, _ := strings.Cut(s, ":")
	n, err := strconv.ParseUint(seq, 10, 64)
	raw, errHex := hex.DecodeString(text)
	if err != nil || errHex != nil || len(raw) != len(hash{}) {
		return Head{}, fmt.Errorf("%.100q is no head of an audit log: it must be a number, a colon and 64 hex digits", s)
	}
	return Head{n, hex.EncodeToString(raw)}, nil
}
