package registry

import (
	"context"
	"fmt"
	"sync"
	"time"

	"larder/cache"
	"larder/formats"
)

// UploadLimits bound what upload sessions may hold, and as much again for files that
// come in one request. Zero fields take the defaults.
type UploadLimits struct {
	PerUser int           // of one user at once; default 1 000
	Open    int           // of all; default 10 000
	Bytes   int64         // that all of them hold together; default 200 GiB
	Idle    time.Duration // how long a session may rest; default 24 h
}

func (l UploadLimits) withDefaults() UploadLimits {
	if l.PerUser == 0 {
		l.PerUser = 1000
	}
	if l.Open == 0 {
		l.Open = 10_000
	}
	if l.Bytes == 0 {
		l.Bytes = 200 << 30
	}
	if l.Idle == 0 {
		l.Idle = 24 * time.Hour
	}
	return l
}

// sessionBook knows every session that has a row, so that limits are held and a
// second writer is told at once. It is filled from the rows at its first use:
// UploadLimits.Open bounds both. A book of uploads in one request is never filled:
// they have no rows.
type sessionBook struct {
	limits UploadLimits

	mu     sync.Mutex
	loaded bool                 // guarded by mu, as all below
	open   map[string]*booked   // by id
	users  map[string]int       // sessions of each
	bytes  int64                // of all
	strays map[string]time.Time // files without a session, and when they were noticed
}

// booked is what the book has of a session.
type booked struct {
	format, pkg, user string
	size              int64 // bytes, those not saved yet included
	touched           time.Time
	busy              bool // a request has it
	cancelled         bool // and is to find that out
}

func newSessionBook(l UploadLimits) *sessionBook {
	return &sessionBook{
		limits: l.withDefaults(), open: map[string]*booked{}, users: map[string]int{}, strays: map[string]time.Time{},
	}
}

// load fills the book, once. A row whose bytes are gone is of a session that was
// about to be kept when the process ended, and is left to the sweep.
func (s *sessionBook) load(ctx context.Context, index cache.Index, store cache.Sessions) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loaded {
		return nil
	}
	files, err := filesOf(ctx, store)
	if err != nil {
		return fmt.Errorf("look for the upload sessions: %w", err)
	}
	there := make(map[string]bool, len(files))
	for _, id := range files {
		there[id] = true
	}
	err = index.View(ctx, func(r cache.Reader) error {
		clear(s.open)
		clear(s.users)
		s.bytes = 0
		return eachSession(r, func(id string, row sessionRow, unread error) {
			// Of a row that cannot be read the sweep tells.
			if unread == nil && (len(row.State) == 0 || there[id]) {
				s.put(id, &booked{format: row.Format, pkg: row.Package, user: row.User, size: row.Size, touched: row.Touched})
			}
		})
	})
	if err != nil {
		return fmt.Errorf("read the upload sessions: %w", err)
	}
	s.loaded = true
	return nil
}

// put: the caller holds the lock.
func (s *sessionBook) put(id string, b *booked) {
	s.open[id] = b
	s.users[b.user]++
	s.bytes += b.size
}

// begin books a new session. Errors: formats.ErrTooMany.
func (s *sessionBook) begin(id string, b *booked) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch l := s.limits; {
	case s.users[b.user] >= l.PerUser:
		return formats.Refuse(formats.ErrTooMany, fmt.Sprintf(
			"you have %d uploads under way, as many as this server lets one user have (uploads.per_user): finish or cancel some", s.users[b.user]))
	case len(s.open) >= l.Open:
		return formats.Refuse(formats.ErrTooMany, fmt.Sprintf(
			"%d uploads are under way, as many as this server takes at once (uploads.open): try again later", len(s.open)))
	case s.bytes >= l.Bytes:
		return s.full()
	}
	s.put(id, b)
	return nil
}

func (s *sessionBook) full() error {
	return formats.Refuse(formats.ErrTooMany, fmt.Sprintf(
		"the uploads under way fill the %d bytes that this server has for them (uploads.max_size): try again later", s.limits.Bytes))
}

// take gives a session to a request. Errors: formats.ErrNoVersion for one that is
// not of this package, unknown or over; formats.ErrConflict while another has it.
func (s *sessionBook) take(id string, of booked, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.find(id, of, now)
	switch {
	case err != nil:
		return err
	case b.busy:
		return formats.Refuse(formats.ErrConflict, "another request is writing to this upload: one at a time")
	}
	b.busy = true
	return nil
}

// touch notes that a session was asked for. Errors: formats.ErrNoVersion, as take.
func (s *sessionBook) touch(id string, of booked, now time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, err := s.find(id, of, now)
	if err == nil {
		b.touched = now
	}
	return err
}

// find: the caller holds the lock.
func (s *sessionBook) find(id string, of booked, now time.Time) (*booked, error) {
	b := s.open[id]
	if b == nil || b.format != of.format || b.pkg != of.pkg || b.cancelled || s.idle(b, now) {
		return nil, noSession()
	}
	return b, nil
}

// cancel tells the request that has a session that it is over, or gives it to the
// caller where none has it.
func (s *sessionBook) cancel(id string) (busy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.open[id]
	if b == nil {
		return false
	}
	busy, b.busy, b.cancelled = b.busy, true, true
	return busy
}

// alive tells a request whether the session that it has is still one. Errors:
// formats.ErrNoVersion.
func (s *sessionBook) alive(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.living(id)
}

// living: the caller holds the lock.
func (s *sessionBook) living(id string) error {
	if b := s.open[id]; b != nil && b.cancelled {
		return noSession()
	}
	return nil
}

func noSession() error {
	return formats.Refuse(formats.ErrNoVersion, "this upload is unknown, finished, cancelled, or was left for too long: begin it again")
}

// idle: the caller holds the lock. Within a process the time is the monotonic one.
func (s *sessionBook) idle(b *booked, now time.Time) bool {
	return !b.busy && now.Sub(b.touched) > s.limits.Idle
}

// grow notes bytes that are about to be written. Errors: formats.ErrTooMany,
// formats.ErrNoVersion as alive.
func (s *sessionBook) grow(id string, n int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.living(id); err != nil {
		return err
	}
	if s.bytes+n > s.limits.Bytes {
		return s.full()
	}
	s.resize(id, n)
	return nil
}

// resize: the caller holds the lock.
func (s *sessionBook) resize(id string, by int64) {
	if b := s.open[id]; b != nil {
		b.size += by
		s.bytes += by
	}
}

// leave notes where a session is left, for the next request. One that was cancelled
// meanwhile stays with the caller, who is to end it.
func (s *sessionBook) leave(id string, size int64, touched time.Time) (cancelled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.open[id]
	switch {
	case b == nil:
		return false
	case b.cancelled:
		return true
	}
	s.resize(id, size-b.size)
	b.touched, b.busy = touched, false
	return false
}

// release lets go of a session and changes nothing of it.
func (s *sessionBook) release(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.open[id]; b != nil {
		b.busy = false
	}
}

// end forgets a session.
func (s *sessionBook) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.open[id]
	if b == nil {
		return
	}
	delete(s.open, id)
	s.bytes -= b.size
	if s.users[b.user]--; s.users[b.user] == 0 {
		delete(s.users, b.user)
	}
}

// expire takes a session that was left for too long, or that is not in the book
// although it has a row: the commit of it failed in the eyes of who began it.
func (s *sessionBook) expire(id string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.open[id]
	if b == nil {
		return true
	}
	if !s.idle(b, now) {
		return false
	}
	b.busy = true
	return true
}

// lost returns the files, of those that are there, that belonged to no session
// already for long.
func (s *sessionBook) lost(files []string, now time.Time) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	noticed := map[string]time.Time{}
	var old []string
	for _, id := range files {
		if s.open[id] != nil {
			continue
		}
		since, known := s.strays[id]
		if !known {
			since = now
		}
		noticed[id] = since
		if now.Sub(since) > strayAge {
			old = append(old, id)
		}
	}
	s.strays = noticed
	return old
}

// usage returns how many sessions there are and what they hold, in bytes.
func (s *sessionBook) usage() (sessions int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open), s.bytes
}
