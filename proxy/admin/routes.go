package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"larder/formats"
	"larder/policy"
	"larder/proxy"
)

// route is one call of the API.
//
// To add one: write a method of call that takes a query, a body and returns an
// answer, each a struct with doc tags or none (see handler), and a row here with
// a sentence for the document and the statuses of failure that are its own. Those
// that follow from the rest are added by failed. Names in braces are explained
// in pathNames, words that are not texts in apiTypes, and an area of its own in
// areas. Then add the call to authorities, its failures to exchanges, and both to
// docs/api.md: tests hold all three against this table.
type route struct {
	method  string
	pattern string // of http.ServeMux, without method and host
	// action is asked of policy before anything is read. For those that concern
	// an owner, a repository or a package, which only the call itself knows,
	// the gate asks for a credential and the part called asks for the rest.
	action policy.Action
	operation
	summary  string
	failures []int // statuses that failures explains
}

// apiRoutes is the whole API.
func apiRoutes() []route {
	return slices.Concat(peopleRoutes(), repositoryRoutes(), packageRoutes(), serverRoutes())
}

// peopleRoutes are about users, organizations, teams and tokens.
func peopleRoutes() []route {
	return []route{
		{"GET", "/api/v1/whoami", policy.Self, handler((*call).whoami), "Tell whose token is in use", nil},
		{"GET", "/api/v1/users", policy.Administer, handler((*call).listUsers), "List users and organizations", nil},
		{"POST", "/api/v1/users", policy.Administer, handler((*call).createUser), "Create a user or an organization, and its private repository NAME/packages", []int{409}},
		{"GET", "/api/v1/users/{user}", policy.Self, handler((*call).showAccount), "Show a user or an organization", []int{404}},
		{"POST", "/api/v1/users/{user}/suspend", policy.Administer, handler((*call).suspend), "Take all rights from a user at once", []int{404, 409}},
		{"POST", "/api/v1/users/{user}/resume", policy.Administer, handler((*call).resume), "Give a suspended user all rights back", []int{404}},
		{"PATCH", "/api/v1/orgs/{org}", policy.Organize, handler((*call).setOrganization), "Change the settings of an organization", []int{404}},
		{"GET", "/api/v1/orgs/{org}/members", policy.Read, handler((*call).listMembers), "List the members of an organization, for its members", []int{403, 404}},
		{"PUT", "/api/v1/orgs/{org}/members/{user}", policy.Organize, handler((*call).setMember), "Make a user a member or an owner of an organization", []int{404, 409}},
		{"DELETE", "/api/v1/orgs/{org}/members/{user}", policy.Organize, handler((*call).removeMember), "Take a user out of an organization", []int{404, 409}},
		{"GET", "/api/v1/orgs/{org}/teams", policy.Read, handler((*call).listTeams), "List the teams of an organization, for its members", []int{403, 404}},
		{"GET", "/api/v1/orgs/{org}/teams/{team}", policy.Read, handler((*call).showTeam), "Show a team", []int{403, 404}},
		{"PUT", "/api/v1/orgs/{org}/teams/{team}", policy.Organize, handler((*call).putTeam), "Create a team, unless it is there", []int{404, 409}},
		{"DELETE", "/api/v1/orgs/{org}/teams/{team}", policy.Organize, handler((*call).deleteTeam), "Delete a team, with its members and grants", []int{404}},
		{"GET", "/api/v1/orgs/{org}/teams/{team}/members", policy.Read, handler((*call).listTeamMembers), "List the members of a team", []int{403, 404}},
		{"PUT", "/api/v1/orgs/{org}/teams/{team}/members/{user}", policy.Organize, handler((*call).addTeamMember), "Put a member of the organization into a team", []int{404, 409}},
		{"DELETE", "/api/v1/orgs/{org}/teams/{team}/members/{user}", policy.Organize, handler((*call).removeTeamMember), "Take a user out of a team", []int{404}},
		{"GET", "/api/v1/tokens", policy.Self, handler((*call).listTokens), "List tokens, without their secrets", []int{404}},
		{"POST", "/api/v1/tokens", policy.Self, handler((*call).createToken), "Make a token with no more rights than the one in use, and show its secret this once", []int{404, 409}},
		{"DELETE", "/api/v1/tokens/{id}", policy.Self, handler((*call).revokeToken), "End a token at once", []int{404}},
	}
}

// repositoryRoutes are about repositories, and the names that belong to them.
func repositoryRoutes() []route {
	return []route{
		{"GET", "/api/v1/repos", policy.Read, handler((*call).listRepositories), "List the repositories that the caller may read", nil},
		{"POST", "/api/v1/repos", policy.Settings, handler((*call).createRepository), "Create a repository", []int{404, 409}},
		{"GET", "/api/v1/repos/{owner}/{name}", policy.Read, handler((*call).showRepository), "Show a repository and the caller's role in it", []int{403, 404}},
		{"PATCH", "/api/v1/repos/{owner}/{name}", policy.Settings, handler((*call).setRepository), "Change who may read a repository without a grant, which tags are set once, and whether indexes may be sparse", []int{404, 409}},
		{"GET", "/api/v1/repos/{owner}/{name}/grants", policy.Read, handler((*call).listGrants), "List the roles of users and teams in a repository, for its admins", []int{403, 404}},
		{"PUT", "/api/v1/repos/{owner}/{name}/grants/{user}", policy.Settings, handler((*call).grant), "Give a user a role in a repository", []int{404}},
		{"DELETE", "/api/v1/repos/{owner}/{name}/grants/{user}", policy.Settings, handler((*call).takeBack), "Take a user's role in a repository back", []int{404}},
		{"PUT", "/api/v1/repos/{owner}/{name}/teams/{team}", policy.Settings, handler((*call).grantTeam), "Give a team a role in a repository of its organization", []int{404, 409}},
		{"DELETE", "/api/v1/repos/{owner}/{name}/teams/{team}", policy.Settings, handler((*call).takeBackFromTeam), "Take a team's role in a repository back", []int{404, 409}},
		{"GET", "/api/v1/claims", policy.Administer, handler((*call).listClaims), "List the claims", nil},
		{"POST", "/api/v1/claims", policy.Administer, handler((*call).addClaim), "Claim names for a repository, so that no upstream is asked for them", []int{404, 409}},
		{"DELETE", "/api/v1/claims/{id}", policy.Administer, handler((*call).removeClaim), "Give the names of a claim up", []int{404, 409}},
	}
}

// packageRoutes are about packages, and what is refused.
func packageRoutes() []route {
	return []route{
		{"GET", "/api/v1/packages", policy.Read, handler((*call).listPackages), "List the hosted packages that the caller may read", nil},
		{"GET", "/api/v1/package", policy.Read, handler((*call).showPackage), "Show a hosted package with its versions", []int{403, 404}},
		{"GET", "/api/v1/used", policy.Read, handler((*call).listUsed), "List the images that were pulled lately, of those that the caller may read", nil},
		{"DELETE", "/api/v1/package", policy.Delete, handler((*call).deletePackage), "Delete a hosted version, or all of a package; it can be restored for a while", []int{404, 409}},
		{"POST", "/api/v1/package/restore", policy.Restore, handler((*call).restorePackage), "Bring a deleted version or package back", []int{404, 409}},
		{"PUT", "/api/v1/package/repository", policy.Settings, handler((*call).movePackage), "Move a package to another repository of its owner, or choose whose grants count for it", []int{404, 409}},
		{"PUT", "/api/v1/package/visibility", policy.Settings, handler((*call).setPackageVisibility), "Change who may read a package without a grant", []int{404, 409}},
		// Self: whoever asks for grants signs in, whether or not the package exists.
		{"GET", "/api/v1/package/grants", policy.Self, handler((*call).listPackageGrants), "List the roles of users and teams in a package, for its admins", []int{403, 404}},
		{"PUT", "/api/v1/package/grants/users/{user}", policy.Settings, handler((*call).grantPackage), "Give a user a role in a package that has grants of its own", []int{404, 409}},
		{"DELETE", "/api/v1/package/grants/users/{user}", policy.Settings, handler((*call).takeBackPackage), "Take a user's role in a package back", []int{404, 409}},
		{"PUT", "/api/v1/package/grants/teams/{team}", policy.Settings, handler((*call).grantPackageToTeam), "Give a team a role in a package that has grants of its own", []int{404, 409}},
		{"DELETE", "/api/v1/package/grants/teams/{team}", policy.Settings, handler((*call).takeBackPackageFromTeam), "Take a team's role in a package back", []int{404, 409}},
		{"GET", "/api/v1/policy/explain", policy.Read, handler((*call).explain), "Tell what is done with a name, and why", nil},
		{"GET", "/api/v1/policy/rules", policy.Administer, handler((*call).listRules), "List the rules in force", nil},
		{"GET", "/api/v1/policy/waivers", policy.Administer, handler((*call).listWaivers), "List the waivers", nil},
		{"POST", "/api/v1/policy/waivers", policy.Administer, handler((*call).addWaiver), "Let versions pass a rule until a time", []int{409}},
		{"DELETE", "/api/v1/policy/waivers/{id}", policy.Administer, handler((*call).removeWaiver), "Take a waiver back", []int{404, 409}},
		{"POST", "/api/v1/policy/approve", policy.Administer, handler((*call).approve), "Note that versions were in use before this server saw them", nil},
		{"POST", "/api/v1/policy/origin/reset", policy.Administer, handler((*call).resetOrigin), "Forget where a name came from, so that it belongs to whoever has it next", []int{404, 409}},
		{"GET", "/api/v1/decisions/{id}", policy.Open, handler((*call).showDecision), "Explain a refusal to whoever holds its id", []int{404}},
	}
}

// serverRoutes are about the server as a whole.
func serverRoutes() []route {
	return []route{
		{"GET", "/api/v1/openapi.json", policy.Open, handler((*call).describe), "Get this document", nil},
		{"GET", "/api/v1/audit", policy.Administer, handler((*call).exportAudit), "Export the audit log, one record a line as it was hashed", nil},
		{"POST", "/api/v1/audit/verify", policy.Administer, handler((*call).verifyAudit), "Verify the audit log", nil},
		{"GET", "/api/v1/upstreams", policy.Administer, handler((*call).listUpstreams), "List the upstreams and how they do", nil},
		{"POST", "/api/v1/gc", policy.Administer, handler((*call).collect), "Delete what nobody needs any more", nil},
		{"POST", "/api/v1/verify", policy.Administer, handler((*call).verify), "Compare bytes and records", nil},
		{"POST", "/api/v1/reload", policy.Administer, handler((*call).reload), "Read the configuration again; on an error the old one holds", nil},
	}
}

// call is one request of the API while it is answered.
type call struct {
	*api
	w      http.ResponseWriter
	r      *http.Request
	visit  proxy.Visit
	caller policy.Subject
	row    served // the zero value until one was found
}

// newRouter mounts the rows of a table, and answers with a problem for paths
// and methods that have none. Errors: a row that the document cannot describe.
func newRouter(a *api, table []route) (http.Handler, error) {
	byPattern := map[string][]served{}
	for _, r := range table {
		row, err := a.prepare(r)
		if err != nil {
			return nil, err
		}
		byPattern[row.pattern] = append(byPattern[row.pattern], row)
	}
	var err error
	if a.document, err = a.describeAll(table); err != nil {
		return nil, err
	}
	if a.encoded, err = json.Marshal(a.document); err != nil {
		return nil, fmt.Errorf("encode the document of the API: %w", err)
	}
	mux := http.NewServeMux()
	for pattern, rows := range byPattern {
		mux.Handle(pattern, a.handle(func(c *call) (any, error) { return c.dispatch(rows) }))
	}
	mux.Handle("/", a.handle(func(c *call) (any, error) {
		return nil, formats.Refuse(formats.ErrNotFound, "there is no such call: the API is below /api/v1")
	}))
	return mux, nil
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

func (c *call) dispatch(rows []served) (any, error) {
	if c.r.Method == http.MethodOptions {
		c.w.Header().Set("Allow", strings.Join(allowed(rows), ", "))
		return none{}, nil // the same for everybody
	}
	at := slices.IndexFunc(rows, func(r served) bool {
		return r.method == c.r.Method || r.method == http.MethodGet && c.r.Method == http.MethodHead
	})
	if at < 0 {
		return nil, &formats.MethodError{Allow: allowed(rows)}
	}
	c.row = rows[at]
	if err := c.identify(); err != nil {
		return nil, err
	}
	c.r = c.r.WithContext(c.visit.Audited(c.r.Context()))
	return c.row.operation.serve(c)
}

// identify finds out who calls, and asks policy about the route.
func (c *call) identify() (err error) {
	if c.caller, err = c.Identifier.Identify(c.r, c.visit.Remote); err != nil {
		return err
	}
	c.visit.Identified(c.caller)
	return c.gate(c.row.action)
}

// allowed lists the methods of a path.
func allowed(rows []served) []string {
	allow := []string{http.MethodOptions}
	for _, r := range rows {
		allow = append(allow, r.method)
		if r.method == http.MethodGet {
			allow = append(allow, http.MethodHead)
		}
	}
	slices.Sort(allow)
	return allow
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
