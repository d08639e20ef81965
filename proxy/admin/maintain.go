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
	Done  int64 `json:"done" doc:"How much was done."`
	Total int64 `json:"total,omitempty" doc:"How much there is to do; absent while that is not known."`
}

// Line is one line of the stream that gc, verify and audit/verify answer with: some with
// Progress, and a last one with the report or a Problem.
type Line struct {
	Progress     *Progress     `json:"progress,omitempty" doc:"How far it is, in all lines but the last."`
	Collection   *evict.Report `json:"collection,omitempty" doc:"What was collected."`
	Retention    *Retention    `json:"retention,omitempty" doc:"What the rules of retention did, beside a collection."`
	Verification *Verification `json:"verification,omitempty" doc:"What was found."`
	Audit        *audit.Report `json:"audit,omitempty" doc:"What was found in the audit log."`
	Problem      *Problem      `json:"problem,omitempty" doc:"Why it failed."`
}

// between is the least time between two lines of progress.
const between = 200 * time.Millisecond

// pace returns a function that passes on the first call and then at most one
// in a while. It is called from one goroutine.
func (c *call) pace(emit func(Line)) func(done, total int64) {
	var last time.Time
	return func(done, total int64) {
		if now := c.Clock(); now.Sub(last) >= between {
			last = now
			emit(Line{Progress: &Progress{done, total}})
		}
	}
}

type collectQuery struct {
	DryRun bool `query:"dry_run" default:"false" doc:"Only tell what would be deleted."`
}

// collect runs a collection.
func (c *call) collect(q collectQuery, _ none) (lines, error) {
	return func(emit func(Line)) (Line, error) {
		tell := c.pace(emit)
		kept, err := c.Maintenance.Retain(c.r.Context(), q.DryRun)
		if err != nil {
			return Line{}, err
		}
		report, err := c.Maintenance.GC(c.r.Context(), q.DryRun, func(looked int) { tell(int64(looked), 0) })
		return Line{Collection: &report, Retention: &kept}, err
	}, nil
}

type verifyQuery struct {
	Repair bool `query:"repair" default:"false" doc:"Drop damaged cached files, which can be fetched again."`
}

// verify checks bytes and records.
func (c *call) verify(q verifyQuery, _ none) (lines, error) {
	return func(emit func(Line)) (Line, error) {
		found, err := c.Maintenance.Verify(c.r.Context(), q.Repair, c.pace(emit))
		return Line{Verification: &found}, err
	}, nil
}

func (c *call) reload(none, none) (none, error) {
	// A reload that has begun is finished, even if whoever asked goes away.
	if err := c.Reload(context.WithoutCancel(c.r.Context())); err != nil {
		return none{}, bad("the configuration was not taken, and the old one holds: %s", err)
	}
	return none{}, nil
}

// UpstreamList is the answer of GET /api/v1/upstreams.
type UpstreamList struct {
	Upstreams []Upstream `json:"upstreams" doc:"By id."`
}

func (c *call) listUpstreams(none, none) (UpstreamList, error) {
	list := append([]Upstream{}, c.Upstreams(c.r.Context())...)
	slices.SortFunc(list, func(a, b Upstream) int { return strings.Compare(a.ID, b.ID) })
	return UpstreamList{list}, nil
}
