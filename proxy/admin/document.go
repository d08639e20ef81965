package admin

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"larder/cache/evict"
	"larder/policy"
	"larder/policy/audit"
	"larder/policy/directory"
	"larder/policy/rulebook"
	"larder/policy/rules"
	"larder/proxy/admin/openapi"
)

// apiTypes knows the types of bodies whose values are words, and those whose
// names would say too little, or the same.
func apiTypes() openapi.Types {
	roles := []string{}
	for r := policy.RoleNone; r <= policy.RoleAdmin; r++ {
		roles = append(roles, r.String())
	}
	return openapi.Types{
		Words: map[reflect.Type][]string{
			reflect.TypeFor[policy.Role]():          roles,
			reflect.TypeFor[policy.Visibility]():    words(policy.Public, policy.Internal, policy.Private),
			reflect.TypeFor[policy.Scope]():         words(policy.AllScopes()...),
			reflect.TypeFor[directory.Membership](): words(directory.Owner, directory.Member),
			reflect.TypeFor[audit.Kind]():           words(audit.User, audit.Robot, audit.Job, audit.Anonymous, audit.System, audit.Unknown),
			reflect.TypeFor[audit.Decision]():       words(audit.Allow, audit.Deny),
			reflect.TypeFor[rulebook.Source]():      words(rulebook.BuiltIn, rulebook.Config, rulebook.API),
			reflect.TypeFor[rules.Verdict]():        words(rules.Pass, rules.Refuse, rules.Exempt, rules.Waived, rules.Unconcerned, rules.Undecided),
		},
		Names: map[reflect.Type]string{
			reflect.TypeFor[evict.Report]():   "Collection",
			reflect.TypeFor[audit.Report]():   "AuditReport",
			reflect.TypeFor[audit.Head]():     "AuditHead",
			reflect.TypeFor[audit.Fault]():    "AuditFault",
			reflect.TypeFor[audit.Record]():   "AuditRecord",
			reflect.TypeFor[audit.Actor]():    "AuditActor",
			reflect.TypeFor[audit.Resource](): "AuditResource",
			reflect.TypeFor[audit.Reason]():   "AuditReason",
			reflect.TypeFor[Refusal]():        "Decision",
			reflect.TypeFor[rules.Waiver]():   "WaiverInForce",
		},
		As: map[reflect.Type]reflect.Type{reflect.TypeFor[auditLine](): reflect.TypeFor[audit.Record]()},
	}
}

func words[T ~string](all ...T) (list []string) {
	for _, w := range all {
		list = append(list, string(w))
	}
	return list
}

// pathNames explains the names in braces.
func pathNames() map[string]string {
	return map[string]string{
		"user":  "Name of a user, or of an organization where one is shown.",
		"org":   "Name of an organization.",
		"owner": "Name of the user or organization that owns the repository.",
		"name":  "Name of the repository, without its owner.",
		"team":  "Name of a team of the organization.",
		"id":    "Id.",
	}
}

// areas sort the calls by what follows /api/v1/ in their paths.
func areas() map[string]string {
	return map[string]string{
		"openapi.json": "About the API", "whoami": "About the API",
		"users": "People", "orgs": "People", "tokens": "Tokens",
		"repos": "Repositories", "claims": "Claims",
		"packages": "Packages", "package": "Packages", "used": "Packages",
		"policy": "Decisions", "decisions": "Decisions", "audit": "Audit log",
		"upstreams": "Maintenance", "gc": "Maintenance", "verify": "Maintenance", "reload": "Maintenance",
	}
}

var pathName = regexp.MustCompile(`{([a-z]+)}`)

// describeAll makes the document of a table.
func (a *api) describeAll(table []route) (openapi.Document, error) {
	d := openapi.Document{OpenAPI: "3.1.0", Info: apiInfo(), Security: credentials(), Paths: map[string]openapi.Path{}}
	tags := map[string]bool{}
	for _, r := range table {
		op, err := a.describeRoute(r)
		if err != nil {
			return d, fmt.Errorf("%s %s: %w", r.method, r.pattern, err)
		}
		path, method := d.Paths[r.pattern], strings.ToLower(r.method)
		if _, twice := path[method]; twice {
			return d, fmt.Errorf("%s %s is there twice", r.method, r.pattern)
		}
		if path == nil {
			path = openapi.Path{}
			d.Paths[r.pattern] = path
		}
		path[method] = op
		tags[op.Tags[0]] = true
	}
	for _, name := range slices.Sorted(maps.Keys(tags)) {
		d.Tags = append(d.Tags, openapi.Tag{Name: name})
	}
	problem, err := a.types.Of(reflect.TypeFor[Problem]())
	d.Components = openapi.Components{
		Schemas: a.types.Components(), Responses: failureResponses(problem), Headers: apiHeaders(), SecuritySchemes: securitySchemes(),
	}
	return d, err
}

func (a *api) describeRoute(r route) (openapi.Operation, error) {
	area, _, _ := strings.Cut(strings.TrimPrefix(r.pattern, "/api/v1/"), "/")
	op := openapi.Operation{
		ID: r.name, Summary: r.summary, Tags: []string{areas()[area]}, Responses: map[string]openapi.Response{},
		Description: cmp.Or(rights()[r.action], "?"),
	}
	if r.summary == "" || r.name == "" || op.Tags[0] == "" || op.Description == "?" {
		return op, fmt.Errorf("the summary, the handler, the area or the action is missing")
	}
	if r.action == policy.Open || r.action == policy.Read {
		op.Security = anonymous()
	}
	for _, match := range pathName.FindAllStringSubmatch(r.pattern, -1) {
		explained := pathNames()[match[1]]
		if explained == "" {
			return op, fmt.Errorf("nobody says what {%s} is", match[1])
		}
		op.Parameters = append(op.Parameters, openapi.Parameter{
			Name: match[1], In: "path", Description: explained, Required: true, Schema: &openapi.Schema{Type: "string"},
		})
	}
	row, err := a.prepare(r)
	if err != nil {
		return op, err
	}
	op.Parameters = append(op.Parameters, row.query...)
	if row.body != nil {
		op.RequestBody = &openapi.RequestBody{Required: true, Content: map[string]openapi.Media{"application/json": {Schema: row.body}}}
	}
	return op, a.describeReplies(row, op)
}

// describeReplies adds the answers of a call, good and bad.
func (a *api) describeReplies(row served, op openapi.Operation) error {
	for _, looks := range repliesOf(row.answer) {
		good := openapi.Response{Description: http.StatusText(looks.status), Headers: headersOf(looks.status)}
		if looks.mediaType != "" {
			s, err := a.types.Of(looks.body)
			if err != nil {
				return err
			}
			good.Content = map[string]openapi.Media{looks.mediaType: {Schema: s}}
		}
		if looks.body != nil && looks.body.Implements(reflect.TypeFor[paged]()) {
			good.Headers["Link"] = openapi.Header{Ref: "#/components/headers/Link"}
		}
		if looks.mediaType == ndjson {
			// The schema of OpenAPI 3.1 is of the whole body: here it tells of each line.
			good.Description = "Lines, each of which is JSON of this schema"
		}
		op.Responses[strconv.Itoa(looks.status)] = good
	}
	for _, status := range row.failed() {
		if failures()[status] == "" {
			return fmt.Errorf("nobody says what the status %d means", status)
		}
		op.Responses[strconv.Itoa(status)] = openapi.Response{Ref: "#/components/responses/" + strconv.Itoa(status)}
	}
	op.Responses["5XX"] = openapi.Response{Ref: "#/components/responses/5XX"}
	return nil
}

// failed lists the statuses from 400 to 499 that a call can have. All of them
// refuse what they do not know in a query, and credentials that are no good.
func (s served) failed() []int {
	all := append([]int{400, 401, 429}, s.failures...)
	if s.action != policy.Open && s.action != policy.Self && s.action != policy.Read || s.method != http.MethodGet {
		all = append(all, 403)
	}
	if s.body != nil {
		all = append(all, 413, 415)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
