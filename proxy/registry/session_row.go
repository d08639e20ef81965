package registry

import (
	"fmt"
	"time"

	"larder/cache"
)

// sessionRow is what outlives the process of an upload session, beside the bytes
// that the Store has.
type sessionRow struct {
	Format  string            `json:"format"`
	Package string            `json:"package"`
	User    string            `json:"user"` // who began it, for the limit alone
	Also    []cache.Algorithm `json:"also,omitempty"`
	Max     int64             `json:"max"` // bytes
	Begun   time.Time         `json:"begun"`
	Touched time.Time         `json:"touched"`
	Size    int64             `json:"size,omitempty"` // bytes of State
	// State goes on from what was saved last; empty while nothing was.
	State []byte `json:"state,omitempty"`
}

func sessionKey(id string) []byte { return key(rowSession, id) }

func readSession(r cache.Reader, id string) (sessionRow, error) {
	value, err := r.Get(sessionKey(id))
	if err != nil {
		return sessionRow{}, err
	}
	return decodeSession(id, value)
}

// rotten is a row of a session that cannot be read: that one session is lost.
type rotten struct {
	id  string
	err error
}

func (e *rotten) Error() string { return fmt.Sprintf("upload session %s is lost: %v", e.id, e.err) }
func (e *rotten) Unwrap() error { return e.err }

// decodeSession reads a row. Errors: *rotten.
func decodeSession(id string, value []byte) (sessionRow, error) {
	var row sessionRow
	if err := decodeRow(value, &row); err != nil {
		return row, &rotten{id, err}
	}
	return row, nil
}

func (s sessionRow) put(w cache.Writer, id string) error {
	value, err := encodeRow(s)
	if err != nil {
		return err
	}
	return w.Put(sessionKey(id), value)
}

// eachSession calls fn for all sessions by id, with why its row cannot be read
// where that is so: at most as many as UploadLimits.Open allows, so that one
// transaction will do.
func eachSession(r cache.Reader, fn func(id string, row sessionRow, unread error)) error {
	for row, err := range r.Scan([]byte{rowSession}, nil) {
		if err != nil {
			return err
		}
		id := string(row.Key[1:])
		s, unread := decodeSession(id, row.Value)
		fn(id, s, unread)
	}
	return nil
}
