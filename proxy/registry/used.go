package registry

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"larder/cache"
	"larder/formats"
	"larder/policy"
)

const (
	notedUses = 64 << 10 // uses that are known to be noted for the day, and most that wait to be written
	usesPage  = 1000     // rows read in one transaction
	usesWrite = 200      // rows written in one
	day       = 24 * time.Hour
	// usesKept is how long a use is remembered.
	usesKept = 400 * day
)

// Used is a use and the last day (UTC) it was seen on.
type Used struct {
	formats.Use
	Day time.Time
}

// use is a formats.Use of one registry.
type use struct {
	registry string
	formats.Use
}

func (u use) key() []byte {
	if u.Tag != "" {
		return key(rowUse, u.registry, u.Package, "t"+u.Tag)
	}
	return key(rowUse, u.registry, u.Package, "v"+u.Version)
}

// usage is what was used lately, and is not written yet.
type usage struct {
	noted *lru.Cache[use, int64] // the day

	mu      sync.Mutex
	pending map[use]int64 // guarded by mu
}

// Used implements formats.Naming: a use is a write once a day, and not now.
func (b *bound) Used(what formats.Use) {
	u, us := use{b.spec.Name, what}, &b.engine.usage
	today := b.engine.now().Unix() / int64(day/time.Second)
	if was, ok := us.noted.Get(u); ok && was == today {
		return
	}
	us.noted.Add(u, today)
	us.mu.Lock()
	defer us.mu.Unlock()
	if us.pending == nil {
		us.pending = map[use]int64{}
	}
	if len(us.pending) < notedUses {
		us.pending[u] = today
	}
}

// FlushUses writes down what was used. What cannot be written for want of room is
// dropped, and noted with the next use of another day.
func (e *Engine) FlushUses(ctx context.Context) error {
	e.usage.mu.Lock()
	pending := e.usage.pending
	e.usage.pending = nil
	e.usage.mu.Unlock()
	part := make(map[use]int64, usesWrite)
	for u, on := range pending {
		part[u] = on
		if delete(pending, u); len(part) < usesWrite && len(pending) > 0 {
			continue
		}
		if err := e.writeUses(ctx, part); errors.Is(err, cache.ErrFull) {
			return nil
		} else if err != nil {
			return fmt.Errorf("note what was used: %w", err)
		}
		clear(part)
	}
	return nil
}

func (e *Engine) writeUses(ctx context.Context, part map[use]int64) error {
	return e.opt.Index.Update(ctx, func(w cache.Writer) error {
		for u, on := range part {
			k, at := u.key(), time.Unix(on*int64(day/time.Second), 0).UTC()
			was, err := readTime(w, k)
			if err != nil && !errors.Is(err, cache.ErrNotExist) {
				return err
			}
			if err == nil && !was.Before(at) {
				continue
			}
			if err := writeTime(w, k, at); err != nil {
				return err
			}
		}
		return nil
	})
}

// Used yields what was used on a day or later, of the packages that somebody may
// read, by package and name. after is the Cursor of one, to go on behind it, or "".
// What was used may be gone by now.
func (r *Registry) Used(ctx context.Context, who policy.Subject, since time.Time, after string) iter.Seq2[Used, error] {
	return func(yield func(Used, error) bool) {
		if err := r.engine.FlushUses(ctx); err != nil {
			yield(Used{}, err)
			return
		}
		reader := &bound{Registry: r, caller: who.ForLists(r.spec.Format.Name())}
		readable := onceEach(func(pkg string) error {
			_, err := reader.allow(ctx, policy.Read, pkg, "")
			return err
		})
		for u, err := range r.uses(ctx, after) {
			if err == nil && u.Day.Before(since.UTC().Truncate(day)) {
				continue
			}
			if err == nil {
				err = readable(u.Package)
			}
			if errors.Is(err, policy.ErrHidden) || errors.Is(err, policy.ErrDenied) || errors.Is(err, policy.ErrUnauthenticated) {
				continue
			}
			if !yield(u, err) || err != nil {
				return
			}
		}
	}
}

// onceEach asks about a name again only after another one.
func onceEach(ask func(string) error) func(string) error {
	var last string
	var err error
	asked := false
	return func(name string) error {
		if !asked || name != last {
			last, err, asked = name, ask(name), true
		}
		return err
	}
}

// uses yields all rows of the registry.
func (r *Registry) uses(ctx context.Context, after string) iter.Seq2[Used, error] {
	prefix := append(key(rowUse, r.spec.Name), 0)
	return pages(after, func(after string) (page []Used, more string, err error) {
		var from []byte
		if after != "" {
			from = append(append([]byte(nil), prefix...), strings.Replace(after, " ", "\x00", 1)...)
		}
		err = r.engine.opt.Index.View(ctx, func(v cache.Reader) error {
			page, more = nil, ""
			for row, err := range v.Scan(prefix, from) {
				if err != nil {
					return err
				}
				if row.Key[len(prefix)] == 0 {
					continue // the hash of names that are too long for a key
				}
				u, err := decodeUse(string(row.Key[len(prefix):]), row.Value)
				if err != nil {
					return err
				}
				if page = append(page, u); len(page) == usesPage {
					more = u.Cursor()
					return nil
				}
			}
			return nil
		})
		return page, more, err
	})
}

// Cursor is what Registry.Used goes on behind. Neither names nor tags have blanks.
func (u Used) Cursor() string {
	if u.Tag != "" {
		return u.Package + " t" + u.Tag
	}
	return u.Package + " v" + u.Version
}

func decodeUse(names string, value []byte) (Used, error) {
	pkg, name, ok := strings.Cut(names, "\x00")
	if !ok || len(value) != 9 || value[0] != rowVersion || name == "" {
		return Used{}, fmt.Errorf("use of %.64q: %w", pkg, errRow)
	}
	u := Used{Use: formats.Use{Package: pkg}, Day: timeOf(value)}
	if name[0] == 't' {
		u.Tag = name[1:]
	} else {
		u.Version = name[1:]
	}
	return u, nil
}

// forgetUses drops what was not used for long.
func (e *Engine) forgetUses(ctx context.Context) error {
	last := e.now().Add(-usesKept)
	var after []byte
	for more := true; more; {
		var old [][]byte
		err := e.opt.Index.View(ctx, func(r cache.Reader) error {
			old, more = nil, false
			n := 0
			for row, err := range r.Scan([]byte{rowUse}, after) {
				if err != nil {
					return err
				}
				if len(row.Value) == 9 && timeOf(row.Value).Before(last) {
					old = append(old, row.Key)
				}
				if n++; n == usesPage {
					after, more = row.Key, true
					return nil
				}
			}
			return nil
		})
		if err == nil && len(old) > 0 {
			err = e.opt.Index.Update(ctx, func(w cache.Writer) error {
				for _, k := range old {
					if err := w.Delete(k); err != nil {
						return err
					}
				}
				return nil
			})
		}
		if err != nil {
			return fmt.Errorf("forget what was used long ago: %w", err)
		}
	}
	return nil
}
