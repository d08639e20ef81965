package admin

import (
	"time"

	"larder/policy/purl"
)

// OriginReset is the answer of POST /api/v1/policy/origin/reset.
type OriginReset struct {
	Purl       string    `json:"purl" doc:"The name, which belongs to nobody now."`
	Upstream   string    `json:"upstream,omitempty" doc:"Id of the upstream that it had come from."`
	Repository string    `json:"repository,omitempty" doc:"Where it had been published, OWNER/NAME."`
	Since      time.Time `json:"since" doc:"When it first came from there, or was published."`
	Documents  int       `json:"documents" doc:"Cached documents that were dropped; cached files stay."`
	DryRun     bool      `json:"dry_run,omitempty" doc:"Nothing was changed."`
}

type originQuery struct {
	changeQuery
	Registry string `query:"registry" doc:"Name of the registry whose upstreams are to be asked anew; without it the first one of the format."`
}

// resetOrigin forgets where a name came from.
func (c *call) resetOrigin(q originQuery, _ none) (OriginReset, error) {
	which, err := c.purl()
	if err != nil {
		return OriginReset{}, err
	}
	if which.Version != "" {
		return OriginReset{}, bad("a name has an origin, its versions have none of their own: leave out @%.80s", which.Version)
	}
	reg, err := c.named(q.Registry, which.Format)
	if err != nil {
		return OriginReset{}, err
	}
	done, err := reg.ResetOrigin(c.r.Context(), c.caller, which.Name, q.DryRun)
	if err != nil {
		return OriginReset{}, err
	}
	return OriginReset{
		Purl: purl.Purl{Format: which.Format, Name: which.Name}.String(), Upstream: done.Upstream, Repository: done.Repository,
		Since: done.Since, Documents: done.Documents, DryRun: q.DryRun,
	}, nil
}
