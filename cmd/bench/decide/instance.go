// Package decide measures what a policy decision costs as the edge makes it for
// a hit: who sends the token, may he read here, and do the rules let it pass.
package decide

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"larder/cache/badger"
	"larder/cmd/bench/seed"
	"larder/policy"
	"larder/policy/directory"
	"larder/policy/rules"
	"larder/proxy/accounts"
)

// Size of an instance beside its people.
type Size struct{ Rules, Waivers, Claims int }

// Instance is what decides over one data folder.
type Instance struct {
	data      string
	index     *badger.Index
	claims    []policy.Claim
	rules     *rules.Set
	directory *directory.Directory
	accounts  *accounts.Accounts
	questions []question // those of Active callers or requests, and then of others
	callers   int
	heap      uint64 // bytes in use before it was opened
}

// question is a request made ready, so that only the decision is measured.
type question struct {
	user     string
	request  *http.Request
	resource policy.Resource
}

// Open opens an instance of a size, for these callers. Nothing of it may run
// meanwhile.
func Open(ctx context.Context, data string, size Size, callers []seed.Caller) (*Instance, error) {
	i := &Instance{data: data}
	for n := range max(len(callers), Active) {
		// Few callers make as many requests: else these alone would lie nearer to
		// the processor, and look cheaper.
		q, err := ask(ctx, callers[n%len(callers)])
		if err != nil {
			return nil, err
		}
		i.questions = append(i.questions, q)
	}
	i.callers = len(callers)
	i.heap = heap()
	i.claims = Claims(size.Claims)
	var err error
	if i.rules, err = rules.New(Rules(size.Rules), Waivers(size.Waivers), nil); err != nil {
		return nil, fmt.Errorf("open an instance: %w", err)
	}
	if i.index, err = badger.Open(filepath.Join(data, "index"), badger.Options{}); err != nil {
		return nil, fmt.Errorf("open an instance: %w", err)
	}
	if err = i.forget(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open an instance: %w", err), i.Close())
	}
	return i, nil
}

func ask(ctx context.Context, c seed.Caller) (question, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	if err != nil {
		return question{}, err
	}
	r.Header.Set("Authorization", "Bearer "+c.Token)
	owner, _, _ := strings.Cut(c.Repository, "/")
	return question{c.User, r, policy.Resource{
		Format: "npm", Registry: "npm", Package: "@" + owner + "/thing", Version: "1.2.3",
		Repository: c.Repository, Visibility: policy.Private, Hosted: true,
	}}, nil
}

// Close ends the instance.
func (i *Instance) Close() error { return i.index.Close() }

// Heap returns the bytes that the instance holds now.
func (i *Instance) Heap() int64 {
	now := heap()
	runtime.KeepAlive(i)
	return int64(now) - int64(i.heap)
}

func heap() uint64 {
	runtime.GC()
	runtime.GC() // what the first one made free of finalizers
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// forget starts again with nothing remembered.
func (i *Instance) forget(ctx context.Context) error {
	d, err := directory.Open(ctx, i.index, directory.Options{AnonymousRead: true, Claims: i.claims})
	if err != nil {
		return err
	}
	i.directory, i.accounts = d, accounts.New(d, nil)
	return nil
}

// decide makes one decision; all callers may do what they ask for.
func (i *Instance) decide(ctx context.Context, q question, now time.Time) error {
	caller, err := i.accounts.Identify(q.request, netip.AddrFrom4([4]byte{192, 0, 2, 1}))
	if err != nil {
		return err
	}
	if err := i.directory.Authorize(ctx, caller, policy.Read, q.resource).Err(); err != nil {
		return fmt.Errorf("%s reads in %s: %w", caller.User, q.resource.Repository, err)
	}
	out := i.rules.For(q.resource.Format, q.resource.Registry, q.resource.Package).
		Check(rules.Facts{Version: q.resource.Version, Published: now.Add(-30 * 24 * time.Hour), Hosted: true}, now)
	if out.Refused {
		return errors.New(out.Finding.Reason)
	}
	return nil
}
