package audit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"larder/cache"
)

const (
	// patience is how long a refusal waits for its record.
	patience = time.Second
	// beat is how often windows that are over are written, and failed writes
	// tried again.
	beat = 10 * time.Second
	// farewell is how long the last write may take.
	farewell = 5 * time.Second
	// maxBatch is how many records one transaction writes: half of what it may.
	maxBatch = 128
)

// errSlow says that the record of a refusal is still to be written.
var errSlow = errors.New("the audit log is slow: the refusal is not recorded yet")

// Log records refusals. All methods may be called concurrently.
//
// A refusal waits until its record is durable: one answered is in the log even
// if the process dies the moment after, at the cost of a group commit (about a
// millisecond) that only those pay who are refused. Two kinds do not wait:
//
//   - Repeats. Equal refusals of one caller within a minute are one record and,
//     when the minute is over, another one with their Count. So a client that
//     retries, or a flood of guessed tokens (one group for each address,
//     whatever it asks for), costs a counter in memory. A crash loses the counts
//     of the minute that runs, never the fact.
//   - Status 404, the refusal that looks like a missing name: to wait would tell
//     the two apart. It is written at once, behind the reply.
//
// Writes go through one batch at a time, so that a flood never takes more than
// one turn of the Index from publishes. There is no queue that could be full:
// beyond 256 groups of one caller, or 4096 in all, refusals are counted in one
// record for the caller, or for all of them, which says so.
type Log struct {
	Chain
	index    cache.Index
	tally    tally
	wake     chan struct{}
	writing  sync.Mutex // held while a batch is written
	patience time.Duration
	beat     time.Duration
}

// NewLog returns a Log that writes to index while Run runs.
func NewLog(index cache.Index, chain Chain) *Log {
	return &Log{Chain: chain, index: index, wake: make(chan struct{}, 1), patience: patience, beat: beat}
}

// Refused records a refusal and returns the id of its decision, under which Find
// finds it: that of the first of its group. With Status 404 the id must not
// reach the client. An error says that the refusal is in no durable record yet;
// it is still counted, and written when it can be. The answer to the client is
// the same then: a refusal that cannot be recorded stays a refusal.
func (l *Log) Refused(ctx context.Context, r Record) (id string, err error) {
	r.Decision = Deny
	id, answer, err := l.note(ctx, r)
	if answer == nil || r.Status == http.StatusNotFound {
		return id, err
	}
	slow := time.NewTimer(l.patience)
	defer slow.Stop()
	select {
	case err := <-answer:
		return id, err
	case <-ctx.Done():
		return id, ctx.Err()
	case <-slow.C:
		return id, errSlow
	}
}

// Warned records what a rule in the mode warn would have refused: Allow, with
// the rule as its Reason. It never waits, because what it tells of is served.
// Errors are those of Refused.
func (l *Log) Warned(ctx context.Context, r Record) error {
	r.Decision = Allow
	return l.Noted(ctx, r)
}

// Noted records what no client is told of, and never waits. Equal records
// within a minute are counted as refusals are. Errors are those of Refused.
func (l *Log) Noted(ctx context.Context, r Record) error {
	_, _, err := l.note(ctx, r)
	return err
}

// note counts r and calls the writer where it is news.
func (l *Log) note(ctx context.Context, r Record) (id string, answer <-chan error, err error) {
	if err := r.check(); err != nil {
		return "", nil, err
	}
	id, answer, err = l.tally.note(l.fill(ctx, r).bounded(maxText))
	if answer != nil {
		select {
		case l.wake <- struct{}{}:
		default: // it is called already
		}
	}
	return id, answer, err
}

// Run writes refusals until ctx ends, and then once more all that is left.
// Refusals that come later are errors. report hears of failures; the work goes
// on after them.
func (l *Log) Run(ctx context.Context, report func(error)) {
	tick := time.NewTicker(l.beat)
	defer tick.Stop()
	lasting := context.WithoutCancel(ctx) // what was begun is ended, so that its outcome is known
	for {
		var err error
		select {
		case <-ctx.Done():
			if err := l.end(lasting); err != nil {
				report(err)
			}
			return
		case <-l.wake:
			err = l.write(lasting, firsts)
		case <-tick.C:
			err = l.write(lasting, ended)
			l.tally.sweep(l.now())
		}
		if err != nil {
			report(err)
		}
	}
}

func (l *Log) end(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, farewell)
	defer cancel()
	l.tally.close()
	err := l.write(ctx, all)
	if n := l.tally.unwritten(); n > 0 {
		return fmt.Errorf("%d refusals are missing in the audit log: %w", n, err)
	}
	return err
}

// Flush writes all refusals and counts that are not written yet.
func (l *Log) Flush(ctx context.Context) error {
	err := l.write(ctx, all)
	l.tally.sweep(l.now())
	return err
}

// write writes what is due in batches, and tells those who wait.
func (l *Log) write(ctx context.Context, what which) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	for list := l.tally.due(what, l.now()); len(list) > 0; {
		n := min(len(list), maxBatch)
		batch := l.tally.entries(list[:n])
		if err := l.commit(ctx, batch); err != nil {
			l.tally.settle(l.tally.entries(list), err)
			return fmt.Errorf("record refusals: %w", err)
		}
		l.tally.settle(batch, nil)
		list = list[n:]
	}
	return nil
}

// commit writes records in one transaction. They are encoded before, so as not
// to keep the one writer of the Index.
func (l *Log) commit(ctx context.Context, batch []entry) error {
	records := make([]sealed, 0, len(batch))
	for _, e := range batch {
		s, err := seal(e.record)
		if err != nil {
			return err
		}
		records = append(records, s)
	}
	return l.index.Update(ctx, func(w cache.Writer) error {
		for _, s := range records {
			if err := s.append(w); err != nil {
				return err
			}
		}
		return nil
	})
}
