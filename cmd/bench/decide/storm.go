package decide

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"larder/policy"
)

// A storm of grants, and those who ask meanwhile.
const (
	deciders  = 64
	grantRate = 100 // per second
	stormFor  = 3 * time.Second
	pause     = time.Millisecond // between two decisions of one, so that none waits for a processor
)

// Crowd is what many who ask at once find.
type Crowd struct {
	P50, P99, Longest time.Duration
	Grants            int // made meanwhile
}

// Crowd lets 64 goroutines decide for the callers of Hot, for some seconds;
// with storm, grants of theirs change a hundred times a second meanwhile.
func (i *Instance) Crowd(ctx context.Context, storm bool) (Crowd, error) {
	if err := i.all(ctx, i.questions[:Active]); err != nil {
		return Crowd{}, err
	}
	var c Crowd
	ended, end := context.WithTimeout(ctx, stormFor)
	defer end()
	group, run := errgroup.WithContext(ctx)
	if storm {
		admin, err := i.administrator(ctx)
		if err != nil {
			return c, err
		}
		group.Go(func() error {
			c.Grants, err = i.grants(run, ended, admin)
			return err
		})
	}
	var mu sync.Mutex
	var all []time.Duration
	for first := range deciders {
		group.Go(func() error {
			took, err := i.asks(run, ended, first)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, took...)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return c, fmt.Errorf("decide in a crowd: %w", err)
	}
	slices.Sort(all)
	c.P50, c.P99, c.Longest = all[len(all)/2], all[len(all)*99/100], all[len(all)-1]
	return c, nil
}

// asks decides until the end, and returns how long each decision took.
func (i *Instance) asks(ctx, ended context.Context, at int) (took []time.Duration, err error) {
	for ; ended.Err() == nil; at = (at + 7) % Active { // 7 and Active have no common divisor: all get their turn
		begin := time.Now()
		if err := i.decide(ctx, i.questions[at], begin); err != nil {
			return nil, err
		}
		took = append(took, time.Since(begin))
		time.Sleep(pause)
	}
	return took, nil
}

// grants gives callers one role and another where they have one, until the end.
func (i *Instance) grants(ctx, ended context.Context, admin policy.Subject) (n int, err error) {
	tick := time.NewTicker(time.Second / grantRate)
	defer tick.Stop()
	for {
		select {
		case <-ended.Done():
			return n, nil
		case <-tick.C:
		}
		q := i.questions[n*31%Active]
		role := policy.RoleRead + policy.Role(n%2)
		if err := i.directory.Grant(ctx, admin, q.resource.Repository, q.user, role); err != nil {
			return n, err
		}
		n++
	}
}

// administrator signs in with the first token of the data folder.
func (i *Instance) administrator(ctx context.Context) (policy.Subject, error) {
	text, err := os.ReadFile(filepath.Join(i.data, "admin.token"))
	if err != nil {
		return policy.Subject{}, err
	}
	s, err := i.directory.Authenticate(ctx, string(bytes.TrimSpace(text)), netip.AddrFrom4([4]byte{192, 0, 2, 1}))
	return s, errors.Join(err, ctx.Err())
}
