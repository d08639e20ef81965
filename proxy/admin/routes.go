package admin

import (
	"errors"
	"net/http"
	"slices"

	"larder/formats"
	"larder/policy"
	"larder/proxy"
)

// route is one call of the API.
type route struct {
	method  string
	pattern string // of http.ServeMux, without method and host
	// action is asked of policy before anything is read. For those that concern
	// an owner, a repository or a package, which only the call itself knows,
	// the gate asks for a credential and the part called asks for the rest.
	action policy.Action
	serve  func(*call) (any, error)
}

// apiRoutes is the whole API.
func apiRoutes() []route {
	return []route{
		{"GET", "/api/v1/whoami", policy.Self, (*call).whoami},

		{"GET", "/api/v1/users", policy.Administer, (*call).listUsers},
		{"POST", "/api/v1/users", policy.Administer, (*call).createUser},
		{"GET", "/api/v1/users/{name}", policy.Self, (*call).showAccount},
		{"POST", "/api/v1/users/{name}/suspend", policy.Administer, (*call).suspend},
		{"POST", "/api/v1/users/{name}/resume", policy.Administer, (*call).resume},
		{"PATCH", "/api/v1/orgs/{org}", policy.Organize, (*call).setOrganization},
		{"GET", "/api/v1/orgs/{org}/members", policy.Read, (*call).listMembers},
		{"PUT", "/api/v1/orgs/{org}/members/{user}", policy.Organize, (*call).setMember},
		{"DELETE", "/api/v1/orgs/{org}/members/{user}", policy.Organize, (*call).removeMember},

		{"GET", "/api/v1/orgs/{org}/teams", policy.Read, (*call).listTeams},
		{"GET", "/api/v1/orgs/{org}/teams/{team}", policy.Read, (*call).showTeam},
		{"PUT", "/api/v1/orgs/{org}/teams/{team}", policy.Organize, (*call).putTeam},
		{"DELETE", "/api/v1/orgs/{org}/teams/{team}", policy.Organize, (*call).deleteTeam},
		{"GET", "/api/v1/orgs/{org}/teams/{team}/members", policy.Read, (*call).listTeamMembers},
		{"PUT", "/api/v1/orgs/{org}/teams/{team}/members/{user}", policy.Organize, (*call).addTeamMember},
		{"DELETE", "/api/v1/orgs/{org}/teams/{team}/members/{user}", policy.Organize, (*call).removeTeamMember},

		{"GET", "/api/v1/repos", policy.Read, (*call).listRepositories},
		{"POST", "/api/v1/repos", policy.Settings, (*call).createRepository},
		{"GET", "/api/v1/repos/{owner}/{name}", policy.Read, (*call).showRepository},
		{"PATCH", "/api/v1/repos/{owner}/{name}", policy.Settings, (*call).setRepository},
		{"GET", "/api/v1/repos/{owner}/{name}/grants", policy.Read, (*call).listGrants},
		{"PUT", "/api/v1/repos/{owner}/{name}/grants/{user}", policy.Settings, (*call).grant},
		{"DELETE", "/api/v1/repos/{owner}/{name}/grants/{user}", policy.Settings, (*call).takeBack},
		{"PUT", "/api/v1/repos/{owner}/{name}/teams/{team}", policy.Settings, (*call).grant},
		{"DELETE", "/api/v1/repos/{owner}/{name}/teams/{team}", policy.Settings, (*call).takeBack},

		{"GET", "/api/v1/claims", policy.Administer, (*call).listClaims},
		{"POST", "/api/v1/claims", policy.Administer, (*call).addClaim},
		{"DELETE", "/api/v1/claims/{id}", policy.Administer, (*call).removeClaim},

		{"GET", "/api/v1/tokens", policy.Self, (*call).listTokens},
		{"POST", "/api/v1/tokens", policy.Self, (*call).createToken},
		{"DELETE", "/api/v1/tokens/{id}", policy.Self, (*call).revokeToken},

		{"GET", "/api/v1/packages", policy.Read, (*call).listPackages},
		{"GET", "/api/v1/package", policy.Read, (*call).showPackage},
		{"DELETE", "/api/v1/package", policy.Delete, (*call).deletePackage},
		{"POST", "/api/v1/package/restore", policy.Restore, (*call).restorePackage},
		{"GET", "/api/v1/policy/explain", policy.Read, (*call).explain},
		{"GET", "/api/v1/policy/rules", policy.Administer, (*call).listRules},
		{"GET", "/api/v1/policy/waivers", policy.Administer, (*call).listWaivers},
		{"POST", "/api/v1/policy/waivers", policy.Administer, (*call).addWaiver},
		{"DELETE", "/api/v1/policy/waivers/{id}", policy.Administer, (*call).removeWaiver},

		{"GET", "/api/v1/decisions/{id}", policy.Open, (*call).showDecision},
		{"GET", "/api/v1/audit", policy.Administer, (*call).exportAudit},
		{"POST", "/api/v1/audit/verify", policy.Administer, (*call).verifyAudit},

		{"GET", "/api/v1/upstreams", policy.Administer, (*call).listUpstreams},
		{"POST", "/api/v1/gc", policy.Administer, (*call).collect},
		{"POST", "/api/v1/verify", policy.Administer, (*call).verify},
		{"POST", "/api/v1/reload", policy.Administer, (*call).reload},
	}
}

// call is one request of the API while it is answered.
type call struct {
	*api
	w      http.ResponseWriter
	r      *http.Request
	visit  proxy.Visit
	caller policy.Subject
	row    route // the zero value until one was found
}

// newRouter mounts the rows of a table, and answers with a problem for paths
// and methods that have none.
func newRouter(a *api, table []route) http.Handler {
	byPattern := map[string][]route{}
	for _, row := range table {
		byPattern[row.pattern] = append(byPattern[row.pattern], row)
	}
	mux := http.NewServeMux()
	for pattern, rows := range byPattern {
		mux.Handle(pattern, a.handle(func(c *call) (any, error) { return c.dispatch(rows) }))
	}
	mux.Handle("/", a.handle(func(c *call) (any, error) {
		return nil, formats.Refuse(formats.ErrNotFound, "there is no such call: the API is below /api/v1")
	}))
	return mux
}

// handle turns a function that returns what to answer into a handler.
func (a *api) handle(fn func(*call) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		visit, _ := proxy.FromContext(r.Context())
		c := &call{api: a, w: w, r: r, visit: visit}
		answer, err := fn(c)
		if err == nil {
			err = c.reply(answer)
		}
		if err != nil {
			c.fail(err)
		}
	})
}

func (c *call) dispatch(rows []route) (any, error) {
	at := slices.IndexFunc(rows, func(r route) bool {
		return r.method == c.r.Method || r.method == http.MethodGet && c.r.Method == http.MethodHead
	})
	if at < 0 {
		var allow []string
		for _, r := range rows {
			allow = append(allow, r.method)
		}
		return nil, &formats.MethodError{Allow: allow}
	}
	c.row = rows[at]
	caller, err := c.Identifier.Identify(c.r, c.visit.Remote)
	if err != nil {
		return nil, err
	}
	c.caller = caller
	c.visit.Identified(caller)
	if err := c.gate(c.row.action); err != nil {
		return nil, err
	}
	c.r = c.r.WithContext(c.visit.Audited(c.r.Context()))
	return c.row.serve(c)
}

var errNoAction = errors.New("a route without an action is shut")

// gate asks policy about a route.
func (c *call) gate(action policy.Action) error {
	switch action {
	case "":
		return errNoAction
	case policy.Open:
		return nil
	case policy.Read, policy.Self, policy.Administer:
		return c.Directory.Authorize(c.r.Context(), c.caller, action, policy.Resource{}).Err()
	}
	return c.Directory.Authorize(c.r.Context(), c.caller, policy.Self, policy.Resource{}).Err()
}
