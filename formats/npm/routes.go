package npm

import (
	"net/http"
	"strings"
)

// Op is an operation of the protocol. Its text is a metric label.
type Op string

// The operations. Those of the last group are known, so that their paths are
// never taken for packages, and are answered with a 404 in JSON.
const (
	opRoot         Op = "root"
	opPackument    Op = "packument"
	opManifest     Op = "manifest"
	opTarball      Op = "tarball"
	opPing         Op = "ping"
	opWhoami       Op = "whoami"
	opTags         Op = "tags"
	opTagSet       Op = "tag-set"
	opTagsSet      Op = "tags-set"
	opTagDelete    Op = "tag-delete"
	opSearch       Op = "search"
	opProfile      Op = "profile"
	opUser         Op = "user"
	opStarred      Op = "starred"
	opAuditBulk    Op = "audit-bulk"
	opAuditQuick   Op = "audit-quick"
	opKeys         Op = "keys"
	opAttestations Op = "attestations"

	opPut           Op = "put"            // publish, deprecate or star, as the body says
	opPutRev        Op = "put-rev"        // maintainers, or the first half of unpublish
	opDelete        Op = "delete"         // the whole package
	opDeleteTarball Op = "delete-tarball" // the second half of unpublish
	opCollaborators Op = "collaborators"
	opVisibility    Op = "visibility"
	opAccess        Op = "access"
	opOrgPackages   Op = "org-packages"
	opUserPackages  Op = "user-packages"
	opTeamPackages  Op = "team-packages"
	opTeamGrant     Op = "team-grant"
	opTeamRevoke    Op = "team-revoke"

	opLogin       Op = "login"
	opLoginWeb    Op = "login-web"
	opLoginPoll   Op = "login-poll"
	opTokens      Op = "tokens"
	opTokenCreate Op = "token-create"
	opTokenDelete Op = "token-delete"
	opLogout      Op = "logout"

	opLegacyAll Op = "legacy-all" // the registry-wide listing, huge and long retired
	opMembers   Op = "members"    // organization and team members
	opStage     Op = "stage"      // staged publish
	opTrust     Op = "trust"      // trusted publishers
	opOIDC      Op = "oidc"       // token exchange of trusted publishing
	opHooks     Op = "hooks"
)

// unavailable reports whether op is known and not offered.
func (o Op) unavailable() bool {
	switch o {
	case opLegacyAll, opMembers, opStage, opTrust, opOIDC, opHooks:
		return true
	}
	return false
}

// route is one path shape. A segment that begins with ":" is a field.
type route struct {
	path []string
	ops  map[string]Op // by method; HEAD is served by GET
}

// methods lists what the path accepts.
func (r route) methods() []string {
	var names []string
	for m := range r.ops {
		names = append(names, m)
		if m == http.MethodGet {
			names = append(names, http.MethodHead)
		}
	}
	return names
}

// at builds a route from a path and pairs of "METHOD" or "METHOD METHOD", op.
func at(path string, ops ...string) route {
	r := route{ops: map[string]Op{}}
	if path != "" {
		r.path = strings.Split(path, "/")
	}
	for i := 0; i+1 < len(ops); i += 2 {
		for _, m := range strings.Fields(ops[i]) {
			r.ops[m] = Op(ops[i+1])
		}
	}
	return r
}

// routes is every path of the protocol, in order of precedence: the reserved
// first segment "-", then packages from the longest shape to the shortest.
var routes = []route{
	at("", "GET", string(opRoot)),
	at("-/ping", "GET", string(opPing)),
	at("-/whoami", "GET", string(opWhoami)),
	at("-/all", "GET", string(opLegacyAll)),
	at("-/all/since", "GET", string(opLegacyAll)),
	at("-/v1/search", "GET", string(opSearch)),
	at("-/_view/starredByUser", "GET", string(opStarred)),

	at("-/package/:pkg/dist-tags", "GET", string(opTags), "PUT POST", string(opTagsSet)),
	at("-/package/:pkg/dist-tags/:tag", "PUT POST", string(opTagSet), "DELETE", string(opTagDelete)),
	at("-/package/:pkg/collaborators", "GET", string(opCollaborators)),
	at("-/package/:pkg/visibility", "GET", string(opVisibility)),
	at("-/package/:pkg/access", "POST PUT", string(opAccess)),
	at("-/package/:pkg/trust", "GET POST", string(opTrust)),
	at("-/package/:pkg/trust/:token", "DELETE", string(opTrust)),

	at("-/npm/v1/security/advisories/bulk", "POST", string(opAuditBulk)),
	at("-/npm/v1/security/audits/quick", "POST", string(opAuditQuick)),
	at("-/npm/v1/security/audits", "POST", string(opAuditQuick)),
	at("-/npm/v1/keys", "GET", string(opKeys)),
	at("-/npm/v1/attestations/:pkg@version", "GET", string(opAttestations)),
	at("-/npm/v1/user", "GET", string(opProfile)),
	at("-/npm/v1/tokens", "GET", string(opTokens), "POST", string(opTokenCreate)),
	at("-/npm/v1/tokens/token/:token", "DELETE", string(opTokenDelete)),
	at("-/npm/v1/oidc/token/exchange/package/:pkg", "POST", string(opOIDC)),
	at("-/npm/v1/hooks", "GET", string(opHooks)),
	at("-/npm/v1/hooks/hook", "POST", string(opHooks)),
	at("-/npm/v1/hooks/hook/:token", "GET PUT DELETE", string(opHooks)),

	at("-/v1/login", "POST", string(opLoginWeb)),
	at("-/v1/login/:token", "GET", string(opLoginPoll)),
	at("-/user/token/:token", "DELETE", string(opLogout)),
	at("-/user/:user", "GET", string(opUser), "PUT", string(opLogin)),
	at("-/user/:user/-rev/:rev", "PUT", string(opLogin)),
	at("-/user/:user/package", "GET", string(opUserPackages)),
	at("-/org/:org/package", "GET", string(opOrgPackages)),
	at("-/org/:org/user", "GET PUT DELETE", string(opMembers)),
	at("-/org/:org/team", "GET PUT DELETE", string(opMembers)),
	at("-/team/:org/:team", "DELETE", string(opMembers)),
	at("-/team/:org/:team/user", "GET PUT DELETE", string(opMembers)),
	at("-/team/:org/:team/package", "GET", string(opTeamPackages), "PUT", string(opTeamGrant), "DELETE", string(opTeamRevoke)),

	at("-/stage", "GET", string(opStage)),
	at("-/stage/package/:pkg", "POST", string(opStage)),
	at("-/stage/:token", "GET DELETE", string(opStage)),
	at("-/stage/:token/tarball", "GET", string(opStage)),
	at("-/stage/:token/approve", "POST", string(opStage)),

	at(":pkg/-rev/:rev", "PUT", string(opPutRev), "DELETE", string(opDelete)),
	at(":pkg/-/:file/-rev/:rev", "DELETE", string(opDeleteTarball)),
	at(":pkg/-/:file", "GET", string(opTarball)),
	at(":pkg/:ref", "GET", string(opManifest)),
	at(":pkg", "GET", string(opPackument), "PUT", string(opPut)),
}
