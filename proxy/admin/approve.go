package admin

import (
	"time"

	"larder/policy/purl"
	"larder/proxy/registry"
)

// SeenVersions is the body of POST /api/v1/policy/approve.
type SeenVersions struct {
	Purls []string  `json:"purls" min:"1" max:"1000" doc:"Package URLs of versions, all of one format."`
	Since time.Time `json:"since,omitzero" doc:"From when on they were in use; without it long enough for every rule."`
}

// Approved is the answer of POST /api/v1/policy/approve.
type Approved struct {
	Approved int `json:"approved" doc:"Versions that count as seen earlier now; the others did already."`
}

type registryQuery struct {
	Registry string `query:"registry" doc:"Name of the registry whose upstreams the versions come from; without it the first one of the format."`
}

// approve notes that versions were in use before this server saw them.
func (c *call) approve(q registryQuery, in SeenVersions) (Approved, error) {
	var list []registry.Known
	format := ""
	for _, text := range in.Purls {
		which, err := purl.Parse(text)
		switch {
		case err != nil:
			return Approved{}, bad("%s", err)
		case which.Version == "":
			return Approved{}, bad("%.200s names no version: write %.200s@1.2.3", text, text)
		case format != "" && which.Format != format:
			return Approved{}, bad("the versions are of %s and of %s: send each format by itself", format, which.Format)
		}
		format = which.Format
		list = append(list, registry.Known{Package: which.Name, Version: which.Version})
	}
	reg, err := c.named(q.Registry, format)
	if err != nil {
		return Approved{}, err
	}
	n, err := reg.Approve(c.r.Context(), registry.Approval{Actor: c.caller, Since: in.Since}, list)
	return Approved{n}, err
}
