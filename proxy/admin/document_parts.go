package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"

	"larder/policy"
	"larder/proxy/admin/openapi"
)

func apiInfo() openapi.Info {
	return openapi.Info{
		Title: "larder", Version: "1",
		Description: "Management of a larder server. Bodies are strict JSON of at most 1 MiB: an unknown field is an error, " +
			"and so is an unknown query parameter. Times are RFC 3339 in UTC, sizes are bytes. Packages are named by package URL in the query. " +
			"Each GET answers HEAD too, and each path OPTIONS. Lists that are long come in pages: next of one page is after of the next, and the field Link leads there. " +
			"What a caller may not read answers like what does not exist.",
	}
}

// rights says what a call needs.
func rights() map[policy.Action]string {
	return map[policy.Action]string{
		policy.Open:       "Needs no credential.",
		policy.Self:       "Needs a credential.",
		policy.Read:       "Shows what the caller may read; without a credential, what is public.",
		policy.Delete:     "Needs the role admin in the repository and the scope delete:packages.",
		policy.Restore:    "Needs the role admin in the repository and the scope write:packages.",
		policy.Settings:   "Needs the role admin in the repository and the scope write:packages.",
		policy.Organize:   "Needs an owner of the organization and the scope admin:org.",
		policy.Administer: "Needs an administrator and the scope admin:instance.",
	}
}

func credentials() []map[string][]string {
	return []map[string][]string{{"bearer": {}}, {"basic": {}}}
}

// anonymous is the security of calls that also answer without a credential.
func anonymous() *[]map[string][]string {
	all := append([]map[string][]string{{}}, credentials()...)
	return &all
}

func securitySchemes() map[string]openapi.SecurityScheme {
	return map[string]openapi.SecurityScheme{
		"bearer": {Type: "http", Scheme: "bearer", Description: "A token, as POST /api/v1/tokens makes them."},
		"basic":  {Type: "http", Scheme: "basic", Description: "The same token as the password, with any name."},
	}
}

func apiHeaders() map[string]openapi.Header {
	header := func(description string) openapi.Header {
		return openapi.Header{Description: description, Schema: &openapi.Schema{Type: "string"}}
	}
	id := header("Id of the request, by which the log of the server knows it.")
	id.Required = true
	return map[string]openapi.Header{
		"X-Request-Id":            id,
		"X-OAuth-Scopes":          header("Scopes of the token in use, separated by a comma and a blank; absent without one."),
		"X-Accepted-OAuth-Scopes": header("Scopes of which the token in use needs one."),
		"X-Larder-Decision":       header("Id of the refusal, for GET /api/v1/decisions/{id}."),
		"X-Larder-Policy":         header("Id of the rule that refused; absent where it was none."),
		"Link":                    header("Of a refusal, with rel=\"help\": what explains it. Of a page, with rel=\"next\": the next one."),
		"Location":                header("Address of what was made."),
		"Retry-After":             header("Seconds to wait."),
		"WWW-Authenticate":        header("How to show a credential."),
	}
}

// headersOf lists the fields of an answer.
func headersOf(status int) map[string]openapi.Header {
	names := []string{"X-Request-Id", "X-OAuth-Scopes"}
	switch status {
	case http.StatusCreated:
		names = append(names, "Location")
	case http.StatusUnauthorized:
		names = append(names, "X-Larder-Decision", "Link", "WWW-Authenticate")
	case http.StatusForbidden:
		names = append(names, "X-Larder-Decision", "X-Larder-Policy", "Link", "X-Accepted-OAuth-Scopes")
	case http.StatusTooManyRequests:
		names = append(names, "X-Larder-Decision", "Link", "Retry-After")
	}
	fields := map[string]openapi.Header{}
	for _, name := range names {
		fields[name] = openapi.Header{Ref: "#/components/headers/" + name}
	}
	return fields
}

// failures are the statuses of calls that fail, and why they do.
func failures() map[int]string {
	return map[int]string{
		400: "The request does not make sense: an unknown or missing field or parameter, or a value that is not of the right form.",
		401: "There is no credential, or it is no good. Bad ones are refused even where none is needed.",
		403: "The caller may not do that, whether or not the thing exists.",
		404: "There is no such thing, or the caller may not see it.",
		409: "It is there already, or the state of the thing does not allow the change.",
		413: "The body is larger than 1 MiB.",
		415: "The body is not JSON, or encoded.",
		429: "There were too many failed sign-ins. Good tokens pass meanwhile.",
	}
}

// failureResponses are their answers.
func failureResponses(problem *openapi.Schema) map[string]openapi.Response {
	all := map[string]openapi.Response{}
	for status, why := range failures() {
		all[strconv.Itoa(status)] = failure(why, problem, headersOf(status))
	}
	fields := headersOf(http.StatusInternalServerError)
	fields["Retry-After"] = openapi.Header{Ref: "#/components/headers/Retry-After"}
	all["5XX"] = failure("Something went wrong on the server (500), with an upstream (502, 504), or there is no room left (507).", problem, fields)
	return all
}

func failure(why string, problem *openapi.Schema, fields map[string]openapi.Header) openapi.Response {
	return openapi.Response{
		Description: why, Headers: fields,
		Content: map[string]openapi.Media{"application/problem+json": {Schema: problem}},
	}
}

// described is the document, encoded. Its own schema is that of OpenAPI.
type described []byte

func (described) replies() []reply {
	return []reply{{http.StatusOK, "application/json", reflect.TypeFor[map[string]json.RawMessage]()}}
}

func (d described) send(c *call) error {
	c.send(http.StatusOK, "application/json", d)
	return nil
}

// describe adds the address by which the caller came to what was encoded once:
// it is 100 KiB that anybody may ask for.
func (c *call) describe(none, none) (described, error) {
	servers, err := json.Marshal([]openapi.Server{{URL: c.visit.Origin}})
	if err != nil {
		return nil, fmt.Errorf("encode the address: %w", err)
	}
	return slices.Concat([]byte(`{"servers":`), servers, []byte(","), c.encoded[1:], []byte("\n")), nil
}
