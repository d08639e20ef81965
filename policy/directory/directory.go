package directory

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"larder/cache"
	"larder/policy"
)

// Options of Open.
type Options struct {
	Clock func() time.Time // nil: time.Now
	// AnonymousRead lets everyone read what is public.
	AnonymousRead bool
	// Claims of the config; they cannot be removed by API. SetClaims replaces them.
	Claims []policy.Claim
	// DefaultRepository takes what has no other home; "" for none.
	DefaultRepository string
	// Formats are the words a claim or limit may name; empty: any.
	Formats []string
}

// Sizes of the caches, in entries: at most some 20 MiB together.
const (
	cachedTokens       = 16 << 10
	cachedGuesses      = 16 << 10
	cachedAccounts     = 16 << 10
	cachedRepositories = 8 << 10
	cachedStandings    = 32 << 10
)

// Directory answers and changes who may do what. All methods may be called
// concurrently.
type Directory struct {
	index cache.Index
	opt   Options

	changes changes

	accounts     memo[string, *Account]
	repositories memo[string, *Repository]
	standings    memo[place, standing]
	teamed       memo[string, bool] // whether an organization has teams
	tokens       memo[digest, *liveToken]
	guesses      memo[digest, struct{}] // tokens that nobody has
	claims       atomic.Pointer[policy.Claims]
	keys         atomic.Pointer[ringEntry] // of bearer tokens
	backoff      *backoff
	uses         uses

	mu         sync.Mutex     // one change of claims, or one bootstrap, at a time
	configured []policy.Claim // of the config
}

// Open reads the claims and returns the Directory. Errors: a claim or default
// repository that is not valid, those of the Index.
func Open(ctx context.Context, index cache.Index, opt Options) (*Directory, error) {
	if opt.Clock == nil {
		opt.Clock = time.Now
	}
	if opt.DefaultRepository != "" {
		if _, _, err := splitRepository(opt.DefaultRepository); err != nil {
			return nil, fmt.Errorf("publish.default_repository: %w", err)
		}
	}
	d := &Directory{index: index, opt: opt}
	var errs [7]error
	d.accounts, errs[0] = newMemo[string, *Account](cachedAccounts)
	d.repositories, errs[1] = newMemo[string, *Repository](cachedRepositories)
	d.standings, errs[2] = newMemo[place, standing](cachedStandings)
	d.tokens, errs[3] = newMemo[digest, *liveToken](cachedTokens)
	d.guesses, errs[4] = newMemo[digest, struct{}](cachedGuesses)
	d.backoff, errs[5] = newBackoff()
	d.teamed, errs[6] = newMemo[string, bool](cachedRepositories)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, fmt.Errorf("directory: %w", err)
	}
	if err := d.SetClaims(ctx, opt.Claims); err != nil {
		return nil, err
	}
	return d, nil
}

// Generation moves with every change of accounts, repositories and claims: with
// all that Claim, Home and Visibility depend on. Tokens and what single users
// may do are looked up per decision and do not count.
func (d *Directory) Generation() uint64 { return d.changes.shape.Load() }

func (d *Directory) now() time.Time { return d.opt.Clock() }

// change runs fn in one transaction and drops what is remembered, even when it
// failed: the outcome of a commit that was given up is unknown.
func (d *Directory) change(ctx context.Context, what string, fn func(w cache.Writer) error) error {
	return d.changeOf(ctx, touched{}, what, fn)
}

// changeOf is change for one that concerns no more than t.
func (d *Directory) changeOf(ctx context.Context, t touched, what string, fn func(w cache.Writer) error) error {
	defer d.changes.count(t)
	return d.update(ctx, what, fn)
}

// update runs fn in one transaction; what is said of errors that have no words
// of their own.
func (d *Directory) update(ctx context.Context, what string, fn func(w cache.Writer) error) error {
	err := d.index.Update(ctx, fn)
	if err == nil || worded(err) {
		return err
	}
	return fmt.Errorf("%s: %w", what, err)
}
