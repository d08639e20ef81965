package admin

import (
	"context"
	"slices"
	"strings"
	"time"

	"larder/cache/evict"
	"larder/policy/audit"
)

// Progress is a line of a stream while the work goes on.
type Progress struct {
	Done  int64 `json:"done"`
	Total int64 `json:"total,omitempty"` // 0: not known
}

// Line is one line of the stream that gc, verify and audit/verify answer with: some with
// Progress, and a last one with the report or a Problem.
type Line struct {
	Progress     *Progress     `json:"progress,omitempty"`
	Collection   *evict.Report `json:"collection,omitempty"`
	Verification *Verification `json:"verification,omitempty"`
	Audit        *audit.Report `json:"audit,omitempty"`
	Problem      *Problem      `json:"problem,omitempty"`
}

// between is the least time between two lines of progress.
const between = 200 * time.Millisecond

// pace returns a function that passes on the first call and then at most one
// in a while. It is called from one goroutine.
func (c *call) pace(emit func(any)) func(done, total int64) {
	var last time.Time
	return func(done, total int64) {
		if now := c.Clock(); now.Sub(last) >= between {
			last = now
			emit(Line{Progress: &Progress{done, total}})
		}
	}
}

// collect runs a collection. Query: dry_run.
func (c *call) collect() (any, error) {
	dry, err := c.flag("dry_run")
	if err != nil {
		return nil, err
	}
	return stream(func(emit func(any)) (any, error) {
		tell := c.pace(emit)
		report, err := c.Maintenance.GC(c.r.Context(), dry, func(looked int) { tell(int64(looked), 0) })
		return Line{Collection: &report}, err
	}), nil
}

// verify checks bytes and records. Query: repair.
func (c *call) verify() (any, error) {
	repair, err := c.flag("repair")
	if err != nil {
		return nil, err
	}
	return stream(func(emit func(any)) (any, error) {
		found, err := c.Maintenance.Verify(c.r.Context(), repair, c.pace(emit))
		return Line{Verification: &found}, err
	}), nil
}

func (c *call) reload() (any, error) {
	// A reload that has begun is finished, even if whoever asked goes away.
	if err := c.Reload(context.WithoutCancel(c.r.Context())); err != nil {
		return nil, bad("the configuration was not taken, and the old one holds: %s", err)
	}
	return nil, nil
}

// UpstreamList is the answer of GET /api/v1/upstreams.
type UpstreamList struct {
	Upstreams []Upstream `json:"upstreams"`
}

func (c *call) listUpstreams() (any, error) {
	list := append([]Upstream{}, c.Upstreams(c.r.Context())...)
	slices.SortFunc(list, func(a, b Upstream) int { return strings.Compare(a.ID, b.ID) })
	return UpstreamList{list}, nil
}
