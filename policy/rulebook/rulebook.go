package rulebook

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"larder/cache"
	"larder/policy/rules"
)

// Options of Open.
type Options struct {
	Clock func() time.Time // nil: time.Now
	// Compare returns the order of a format's versions, nil where it has none.
	Compare func(format string) func(a, b string) int
}

// Book is the rules in force. All methods may be called concurrently.
type Book struct {
	index  cache.Index
	opt    Options
	now    atomic.Pointer[state]
	counts counts

	mu sync.Mutex // one change at a time
}

// state is what is in force. It does not change once made.
type state struct {
	set     *rules.Set
	rules   []rules.Rule   // as they are written
	written []rules.Waiver // of the configuration
	given   []given        // at run time, in the order of their ids
	idle    []error        // why a given waiver has no effect, nil where it has
}

// Open reads the waivers that were given at run time. No rules hold before Use.
func Open(ctx context.Context, index cache.Index, opt Options) (*Book, error) {
	if opt.Clock == nil {
		opt.Clock = time.Now
	}
	b := &Book{index: index, opt: opt}
	list, err := readGiven(ctx, index)
	if err != nil {
		return nil, fmt.Errorf("read waivers: %w", err)
	}
	next, err := b.compile(state{given: list})
	b.now.Store(next)
	return b, err
}

// Use puts the rules and waivers of a configuration in the place of the old
// ones; where one of them is wrong the old ones stay. The error joins all
// mistakes as *rules.Mistake.
func (b *Book) Use(list []rules.Rule, waivers []rules.Waiver) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	next, err := b.compile(state{rules: list, written: named(waivers), given: b.now.Load().given})
	if err != nil {
		return err
	}
	b.now.Store(next)
	b.counts.keep(next.set.Rules())
	return nil
}

// Check says what Use would find wrong.
func (b *Book) Check(list []rules.Rule, waivers []rules.Waiver) error {
	_, err := b.compile(state{rules: list, written: waivers, given: b.now.Load().given})
	return err
}

// Set returns the rules as they are now, ready to be asked.
func (b *Book) Set() *rules.Set { return b.now.Load().set }

// compile makes the set of a state. Given waivers without a rule are left out.
func (b *Book) compile(s state) (*state, error) {
	all := make([]rules.Waiver, len(s.given))
	for i, g := range s.given {
		all[i] = g.Waiver
	}
	s.idle = rules.CheckWaivers(s.rules, all, b.opt.Compare)
	effective := slices.Clone(s.written)
	for i, w := range all {
		if s.idle[i] == nil {
			effective = append(effective, w)
		}
	}
	var err error
	if s.set, err = rules.New(s.rules, effective, b.opt.Compare); err != nil {
		return nil, err
	}
	return &s, nil
}
