package audit

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

const rowVersion = 1

// maxRow bounds the value of a record row, in bytes.
const maxRow = 4 << 10

type hash [sha256.Size]byte

// before is what stands in front of the JSON of a record.
const before = 1 + 2*len(hash{})

// maxSeq is the room for `"seq":N,` in the JSON of a record.
const maxSeq = len(`"seq":18446744073709551615,`)

func headKey() []byte    { return []byte("lh") }
func recordsKey() []byte { return []byte("lr") }
func recordKey(seq uint64) []byte {
	return binary.BigEndian.AppendUint64(recordsKey(), seq)
}
func decisionKey(id string) []byte { return []byte("li" + id) }

// sealed is a record that only lacks its place in the chain.
type sealed struct {
	json     []byte // canonical, but for seq
	decision string
}

// seal encodes a record. Where it is too large, its texts are cut shorter until
// it is not: at 16 bytes each it always fits.
func seal(r Record) (sealed, error) {
	if err := r.check(); err != nil {
		return sealed{}, err
	}
	r.Seq, r.PrevHash, r.Hash = 0, "", ""
	for most := maxText; ; most /= 2 {
		short := r.bounded(most)
		text, err := short.Line()
		if err != nil {
			return sealed{}, fmt.Errorf("encode audit record: %w", err)
		}
		if before+len(text)+maxSeq <= maxRow || most <= 16 {
			return sealed{text, short.DecisionID}, nil
		}
	}
}

// Line returns the record as one line of JSON, without its end. Other encoders
// escape what looks like HTML; then the hash does not fit what others read.
func (r *Record) Line() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), nil
}

// row is the value of the record at seq behind prev, and its hash.
func (s sealed) row(seq uint64, prev hash) ([]byte, hash) {
	value := make([]byte, before, before+len(s.json)+maxSeq)
	value[0] = rowVersion
	copy(value[1:], prev[:])
	value = append(value, `{"seq":`...)
	value = append(strconv.AppendUint(value, seq, 10), ',')
	value = append(value, s.json[1:]...)
	h := sum(prev, value[before:])
	copy(value[1+len(prev):], h[:])
	return value, h
}

func sum(prev hash, text []byte) hash {
	d := sha256.New()
	d.Write(prev[:]) // a hash never fails
	d.Write(text)
	return hash(d.Sum(nil))
}

var (
	errRow    = errors.New("it has an unknown version or is cut short")
	errEdited = errors.New("its hash does not fit, so it was edited")
)

// stored is the value of a record row, taken apart.
type stored struct {
	prev, hash hash
	json       []byte
}

// split takes a row apart and checks its hash. Errors: errRow, errEdited.
func split(value []byte) (stored, error) {
	if len(value) <= before || value[0] != rowVersion {
		return stored{}, errRow
	}
	s := stored{prev: hash(value[1:33]), hash: hash(value[33:before]), json: value[before:]}
	if sum(s.prev, s.json) != s.hash {
		return s, errEdited
	}
	return s, nil
}

// record decodes the JSON of a row.
func (s stored) record() (Record, error) {
	r := Record{}
	if err := json.Unmarshal(s.json, &r); err != nil {
		return Record{}, fmt.Errorf("it cannot be read: %w", err)
	}
	r.PrevHash, r.Hash = hex.EncodeToString(s.prev[:]), hex.EncodeToString(s.hash[:])
	return r, nil
}

// decode reads the row of the record at seq.
func decode(seq uint64, value []byte) (Record, error) {
	s, err := split(value)
	if err != nil {
		return Record{}, fmt.Errorf("audit record %d: %w", seq, err)
	}
	r, err := s.record()
	if err == nil && r.Seq != seq {
		err = fmt.Errorf("it holds record %d", r.Seq)
	}
	if err != nil {
		return Record{}, fmt.Errorf("audit record %d: %w", seq, err)
	}
	return r, nil
}
