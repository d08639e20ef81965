package registry

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"larder/cache"
	"larder/formats"
)

// Rows of the Index that belong to the engine; the others are listed in
// cache/refs and policy/directory. A name in a key ends with a zero byte,
// which no name may hold. Keys that would pass cache.MaxKey end in the hash of
// their names instead, behind two zero bytes.
//
//	f scope 0 file                     file record; scope is "h"+format or "u"+upstream
//	s upstream 0 file                  digest first seen of an upstream's file: never dropped
//	s upstream 0 0 package 0 document  when a document was first fetched: never dropped
//	s upstream 0 0 package 0 0 version when a version without a date was first seen: never dropped
//	d upstream 0 package 0 document    document record and, when small, its bytes
//	y upstream 0 package 0 pointer     what a name that moves stands for
//	h upstream 0 package               a version of it was held: dropped by a listing that finds none
//	r tag                              file record of a rendered document
//	n format 0 package                 the upstream that a name first came from, and when: dropped by ResetOrigin alone
//	p format 0 package 0 a             head of a hosted package
//	p format 0 package 0 f version 0 about  what is about the version went after it, and comes back with it
//	p format 0 package 0 i version     sequence number of a version
//	p format 0 package 0 k hash version     the version uses the file (hash: SHA-256 of its name)
//	p format 0 package 0 r version 0 tag    the tag stands for the version
//	p format 0 package 0 s version 0 tag    the tag went with the version, and comes back with it
//	p format 0 package 0 t tag         what a tag stands for, and since when
//	p format 0 package 0 u version     when a tag last left the version
//	p format 0 package 0 v seq chunk   a version, cut into rows
//	p format 0 package 0 w term 0 version   the version was published with the term
//	q registry 0 package 0 name        the last day on which a tag ("t"+tag) or version ("v"+version) was used
//	j seq                              journal of changes to hosted packages
//	m journal                          last sequence number of the journal
//	u id                               an upload session
const (
	rowFile     = 'f'
	rowSeen     = 's'
	rowDocument = 'd'
	rowPointer  = 'y'
	rowHeldName = 'h'
	rowDerived  = 'r'
	rowName     = 'n'
	rowPackage  = 'p'
	rowJournal  = 'j'
	rowUse      = 'q'
	rowSession  = 'u'
)

// The parts of a package. The head comes first, which listings count on.
const (
	partHead    = 'a'
	partFollow  = 'f'
	partVersion = 'i'
	partUse     = 'k'
	partTagged  = 'r'
	partParted  = 's'
	partTag     = 't'
	partLoose   = 'u'
	partRelease = 'v'
	partTerm    = 'w'
)

// rowVersion begins every value, so that a later layout is told apart.
const rowVersion = 1

func key(row byte, names ...string) []byte {
	k := []byte{row}
	for i, n := range names {
		if i > 0 {
			k = append(k, 0)
		}
		k = append(k, n...)
	}
	if len(k) <= cache.MaxKey-128 {
		return k
	}
	h := sha256.New()
	for _, n := range names {
		_ = binary.Write(h, binary.BigEndian, uint64(len(n))) // hash.Hash never fails
		h.Write([]byte(n))
	}
	short := append([]byte{row}, names[0][:min(len(names[0]), 128)]...)
	return h.Sum(append(short, 0, 0))
}

func hostedFileKey(format, file string) []byte     { return key(rowFile, "h"+format, file) }
func upstreamFileKey(upstream, file string) []byte { return key(rowFile, "u"+upstream, file) }
func seenKey(upstream, file string) []byte         { return key(rowSeen, upstream, file) }
func nameKey(format, pkg string) []byte            { return key(rowName, format, pkg) }

func seenDocumentKey(upstream, pkg, document string) []byte {
	return key(rowSeen, upstream, "", pkg, document)
}

func seenVersionKey(upstream, pkg, version string) []byte {
	return key(rowSeen, upstream, "", pkg, "", version)
}

func documentKey(upstream, pkg, document string) []byte {
	return key(rowDocument, upstream, pkg, document)
}

func heldNameKey(upstream, pkg string) []byte { return key(rowHeldName, upstream, pkg) }

func pointerKey(upstream, pkg, name string) []byte { return key(rowPointer, upstream, pkg, name) }

func packageKey(format, pkg string, part byte) []byte {
	return append(append(key(rowPackage, format, pkg), 0), part)
}

func versionKey(format, pkg, version string) []byte {
	k := append(packageKey(format, pkg, partVersion), version...)
	if len(k) <= cache.MaxKey {
		return k
	}
	sum := sha256.Sum256([]byte(version))
	return append(append(packageKey(format, pkg, partVersion), 0), sum[:]...)
}

func releaseKey(format, pkg string, seq uint64, chunk uint16) []byte {
	k := binary.BigEndian.AppendUint64(packageKey(format, pkg, partRelease), seq)
	return binary.BigEndian.AppendUint16(k, chunk)
}

// partKey names a row of a package by one name or two. With two a zero byte
// ends the first, so that "" for the second gives the prefix of all its rows.
// Names that do not fit are refused: a hash in their place would lose the order.
func partKey(format, pkg string, part byte, names ...string) ([]byte, error) {
	k := append(packageKey(format, pkg, part), strings.Join(names, "\x00")...)
	if len(k) > cache.MaxKey {
		return nil, formats.Refuse(formats.ErrBadRequest, fmt.Sprintf(
			"%.64q and the name of its package take %d bytes together, the limit is %d", names[0], len(k), cache.MaxKey))
	}
	for _, n := range names {
		if strings.IndexByte(n, 0) >= 0 {
			return nil, formats.Refuse(formats.ErrBadRequest, fmt.Sprintf("%.64q holds a zero byte", n))
		}
	}
	return k, nil
}

// useKey says that a version uses a file; "" for the version gives the prefix of
// all that do. The name of the file, which other rows have too, would be most of
// what a version of many files writes.
func useKey(format, pkg, file, version string) ([]byte, error) {
	sum := sha256.Sum256([]byte(file))
	k := append(append(packageKey(format, pkg, partUse), sum[:]...), version...)
	if len(k) > cache.MaxKey {
		return nil, formats.Refuse(formats.ErrBadRequest, fmt.Sprintf("the name of the version %.64q is too long", version))
	}
	return k, nil
}

func journalKey(seq uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{rowJournal}, seq)
}

// fileRecord says which blob a file is.
type fileRecord struct {
	Digest    cache.Digest `json:"-"`
	Hex       string       `json:"digest"`
	Size      int64        `json:"size"`
	MediaType string       `json:"type,omitempty"`
	Package   string       `json:"package,omitempty"`
	Version   string       `json:"version,omitempty"`
	Published time.Time    `json:"published,omitzero"` // as the upstream says
	Fetched   time.Time    `json:"fetched,omitzero"`
	Needs     []string     `json:"needs,omitempty"` // files of the package that it refers to
	Long      bool         `json:"long,omitempty"`  // they are too many to be noted
}

func (f *fileRecord) put(w cache.Writer, k []byte) error {
	value, err := f.encode()
	if err != nil {
		return err
	}
	return w.Put(k, value)
}

func (f *fileRecord) encode() ([]byte, error) {
	f.Hex = f.Digest.String()
	return encodeRow(f)
}

// readFile returns a file record. Errors: cache.ErrNotExist.
func readFile(r cache.Reader, k []byte) (*fileRecord, error) {
	value, err := r.Get(k)
	if err != nil {
		return nil, err
	}
	return decodeFile(value)
}

func decodeFile(value []byte) (*fileRecord, error) {
	var f fileRecord
	if err := decodeRow(value, &f); err != nil {
		return nil, fmt.Errorf("file record: %w", err)
	}
	d, err := cache.ParseDigest(f.Hex)
	if err != nil {
		return nil, fmt.Errorf("file record: %w", err)
	}
	f.Digest = d
	return &f, nil
}

// nameRecord says where a name first came from.
type nameRecord struct {
	Upstream string    `json:"upstream"`
	First    time.Time `json:"first"`
}

// readName returns the record of a name. Errors: cache.ErrNotExist.
func readName(r cache.Reader, format, pkg string) (nameRecord, error) {
	var n nameRecord
	value, err := r.Get(nameKey(format, pkg))
	if err != nil {
		return n, err
	}
	if err := decodeRow(value, &n); err != nil {
		return n, fmt.Errorf("origin of %s: %w", pkg, err)
	}
	return n, nil
}

// readTime reads a row that is a time. Errors: cache.ErrNotExist.
func readTime(r cache.Reader, k []byte) (time.Time, error) {
	value, err := r.Get(k)
	if err != nil {
		return time.Time{}, err
	}
	if len(value) != 9 || value[0] != rowVersion {
		return time.Time{}, errRow
	}
	return timeOf(value), nil
}

// timeOf is the time in a row of writeTime.
func timeOf(value []byte) time.Time {
	return time.Unix(0, int64(binary.BigEndian.Uint64(value[1:]))).UTC()
}

func writeTime(w cache.Writer, k []byte, at time.Time) error {
	return w.Put(k, binary.BigEndian.AppendUint64([]byte{rowVersion}, uint64(at.UnixNano())))
}

// errRow says that a record is not one of ours.
var errRow = errors.New("record of an unknown version")

func encodeRow(v any) ([]byte, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	return append([]byte{rowVersion}, b...), nil
}

func decodeRow(value []byte, v any) error {
	if len(value) == 0 || value[0] != rowVersion {
		return errRow
	}
	if err := json.Unmarshal(value[1:], v); err != nil {
		return fmt.Errorf("decode record: %w", err)
	}
	return nil
}

// withBody puts bytes behind a record: version, length of the record, record, bytes.
func withBody(record any, body []byte) ([]byte, error) {
	head, err := encodeRow(record)
	if err != nil {
		return nil, err
	}
	row := binary.BigEndian.AppendUint32([]byte{rowVersion}, uint32(len(head)))
	return append(append(row, head...), body...), nil
}

// splitBody undoes withBody.
func splitBody(row []byte, record any) (body []byte, err error) {
	if len(row) < 5 || row[0] != rowVersion {
		return nil, errRow
	}
	n := binary.BigEndian.Uint32(row[1:])
	if uint64(n) > uint64(len(row)-5) {
		return nil, fmt.Errorf("record of %d bytes is cut short", n)
	}
	return row[5+n:], decodeRow(row[5:5+n], record)
}
