package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"larder/cmd/bench/decide"
	"larder/cmd/bench/process"
	"larder/cmd/bench/seed"
)

// The lines of decisions.
const (
	hotLine     = 10 * time.Microsecond
	firstLine   = 100 * time.Microsecond // with reads of the index
	stormLine   = 100 * time.Microsecond
	againstLine = 2         // a large instance against a small one
	moreAllocs  = 1         // in a large instance
	holdLine    = 100 << 20 // bytes, more than a small one
	anyTokens   = 20_000    // tokens that no user of the hot ones has
	strangers   = 20_000    // requests to a server before its memory is looked at
	askers      = 8
)

// company is an instance of some size.
type company struct {
	name   string
	people seed.People
	size   decide.Size
}

func companies() []company {
	return []company{
		{"small", seed.People{Users: 10, Organizations: 2, Repositories: 10, Grants: 50, Tokens: 100}, decide.Size{Rules: 10, Waivers: 10, Claims: 10}},
		{"large", seed.People{Users: 10_000, Organizations: 100, Repositories: 1000, Grants: 100_000, Tokens: 1_000_000}, decide.Size{Rules: 1000, Waivers: 1000, Claims: 10_000}},
	}
}

// decided is what was found of one company.
type decided struct {
	hot, everybody, cold, anyone []decide.Cost
	heap                         int64
	calm, storm                  decide.Crowd
	starts                       []time.Duration
	memory                       int64 // anonymous, of a server
}

// decisions looks at decisions, memory and start of a large instance beside a
// small one.
func decisions(ctx context.Context, b *bench) error {
	var found [2]decided
	var open [2]*decide.Instance
	for i, c := range companies() {
		data, callers, err := b.found(ctx, c)
		if err != nil {
			return fmt.Errorf("%s instance: %w", c.name, err)
		}
		if err := b.employ(ctx, c, data, callers, &found[i]); err != nil {
			return fmt.Errorf("server of the %s instance: %w", c.name, err)
		}
		if open[i], err = decide.Open(ctx, data, c.size, callers); err != nil {
			return err
		}
		defer open[i].Close() // nothing was written
		if err := found[i].round(ctx, open[i]); err != nil {
			return err
		}
		found[i].heap = open[i].Heap()
	}
	for range b.rounds - 1 {
		for i := range open {
			if err := found[i].round(ctx, open[i]); err != nil {
				return err
			}
		}
		// The database may still have tidied up before; the small one stays as it is.
		found[1].heap = min(found[1].heap, open[1].Heap())
	}
	for i := range open {
		var err error
		if found[i].calm, err = open[i].Crowd(ctx, false); err == nil {
			found[i].storm, err = open[i].Crowd(ctx, true)
		}
		if err != nil {
			return err
		}
	}
	b.decisionsTable(found[0], found[1])
	return nil
}

// found makes the data folder of a company.
func (b *bench) found(ctx context.Context, c company) (string, []seed.Caller, error) {
	data := filepath.Join(b.dir, c.name)
	s, err := b.alone(data, os.DevNull)
	if err != nil {
		return "", nil, err
	}
	if err := s.end(); err != nil {
		return "", nil, err
	}
	callers, err := seed.Enrol(ctx, data, c.people, anyTokens)
	return data, callers, err
}

// employ starts servers over the data folder, with all the rules, and lets
// callers ask one of them.
func (b *bench) employ(ctx context.Context, c company, data string, callers []seed.Caller, found *decided) error {
	file := filepath.Join(b.dir, c.name+".yaml")
	if err := os.WriteFile(file, decide.Config(c.size), 0o600); err != nil {
		return err
	}
	for range b.rounds {
		begin := time.Now()
		s, err := b.alone(data, file)
		if err != nil {
			return err
		}
		found.starts = append(found.starts, time.Since(begin))
		if len(found.starts) == b.rounds {
			err = s.strangers(ctx, callers)
			if err == nil {
				found.memory, err = process.Anonymous(s.ID())
			}
		}
		if err = errors.Join(err, s.end()); err != nil {
			return err
		}
	}
	return nil
}

// strangers lets callers in turn ask for a package that is not there, in a
// repository where they may read.
func (s *server) strangers(ctx context.Context, callers []seed.Caller) error {
	client := http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: askers}}
	defer client.CloseIdleConnections()
	group, ctx := errgroup.WithContext(ctx)
	for first := range askers {
		group.Go(func() error {
			for i := first; i < strangers; i += askers {
				if err := s.stranger(ctx, &client, callers[i%len(callers)]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

func (s *server) stranger(ctx context.Context, client *http.Client, c seed.Caller) error {
	owner, _, _ := strings.Cut(c.Repository, "/")
	q, err := asking(ctx, s.url+"/r/"+c.Repository+"/npm/@"+owner+"%2fthing", []string{"Authorization", "Bearer " + c.Token})
	if err != nil {
		return err
	}
	reply, err := client.Do(q)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, reply.Body)
	if err = errors.Join(err, reply.Body.Close()); err == nil && reply.StatusCode != http.StatusNotFound {
		err = fmt.Errorf("%s was answered with %s", q.URL, reply.Status)
	}
	return err
}

// round measures everything once.
func (d *decided) round(ctx context.Context, i *decide.Instance) error {
	for _, m := range []struct {
		costs *[]decide.Cost
		of    func(context.Context) (decide.Cost, error)
	}{{&d.hot, i.Hot}, {&d.everybody, i.Everybody}, {&d.cold, i.Cold}, {&d.anyone, i.Any}} {
		cost, err := m.of(ctx)
		if err != nil {
			return err
		}
		*m.costs = append(*m.costs, cost)
	}
	return nil
}

func (b *bench) decisionsTable(small, large decided) {
	var rows [][]string
	for _, r := range []struct {
		name         string
		small, large []decide.Cost
		line         time.Duration
		against      float64
	}{
		{fmt.Sprintf("decision, %d callers in turn", decide.Few), small.hot, large.hot, hotLine, againstLine},
		{fmt.Sprintf("decision, %d requests of all users in turn", decide.Active), small.everybody, large.everybody, hotLine, 0},
		{"first decision of a caller", small.cold, large.cold, firstLine, 0},
		{"decision, any token", small.anyone, large.anyone, firstLine, 0},
	} {
		little, much := typical(r.small), typical(r.large)
		text := micros(much.Time)
		if r.line > 0 {
			text += b.hold(much.Time < r.line, ", < "+micros(r.line))
		}
		against := over(much.Time, little.Time)
		rows = append(rows, []string{r.name, micros(little.Time), text, ratio(against) + b.most(against, r.against)})
		allocs := fmt.Sprintf("%.1f", much.Allocs)
		if r.against > 0 {
			allocs += b.hold(much.Allocs <= little.Allocs+moreAllocs, fmt.Sprintf(", ≤ %d more", moreAllocs))
		}
		rows = append(rows, []string{"its allocations", fmt.Sprintf("%.1f", little.Allocs), allocs, ""})
	}
	for _, r := range []struct {
		name         string
		small, large decide.Crowd
		line         time.Duration
	}{
		{"decisions of 64 at once, p50, p99, longest", small.calm, large.calm, 0},
		{"the same while grants change 100 times a second", small.storm, large.storm, stormLine},
	} {
		text := crowded(r.large)
		if r.line > 0 {
			text += b.hold(r.large.P99 <= r.line, ", p99 ≤ "+micros(r.line))
		}
		rows = append(rows, []string{r.name, crowded(r.small), text, ""})
	}
	start, starts := median(small.starts), median(large.starts)
	rows = append(rows,
		[]string{"heap held", bytesText(small.heap), bytesText(large.heap) + b.hold(large.heap <= holdLine, ", ≤ "+bytesText(holdLine)), ""},
		[]string{"anonymous memory of a server", bytesText(small.memory),
			bytesText(large.memory) + b.hold(large.memory-small.memory <= holdLine, ", ≤ "+bytesText(holdLine)+" more"), ""},
		[]string{"start until ready", millis(start), millis(starts) + b.hold(starts <= startLine, ", ≤ "+millis(startLine)), ""},
	)
	var head []string
	for _, c := range companies() {
		head = append(head, fmt.Sprintf("%s: %d users, %d grants, %d tokens, %d rules", c.name, c.people.Users, c.people.Grants, c.people.Tokens, c.size.Rules))
	}
	table(b.out, "policy | "+strings.Join(head, " | ")+" | large against small", rows)
}

func crowded(c decide.Crowd) string {
	return fmt.Sprintf("%s, %s, %s", micros(c.P50), micros(c.P99), micros(c.Longest))
}

// typical is the cheapest: in other rounds somebody else worked on the machine.
func typical(costs []decide.Cost) decide.Cost {
	best := costs[0]
	for _, c := range costs {
		best.Time, best.Allocs = min(best.Time, c.Time), min(best.Allocs, c.Allocs)
	}
	return best
}
