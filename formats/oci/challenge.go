package oci

import (
	"strings"

	"larder/policy"
)

// challenge is the value of WWW-Authenticate: where to get a token and for what.
// base is the URL of the registry as the client reached it. Clients do not
// follow a relative realm, so it is absolute. narrow says that the caller's own
// rights suffice and the token's do not, so that another one would.
func challenge(base string, t target, narrow bool) string {
	if t.op == opToken {
		return `Basic realm="larder"` // what a token is traded for
	}
	root, prefix := divide(base)
	_, host, _ := strings.Cut(root, "://")
	host, _, _ = strings.Cut(host, "/")
	value := `Bearer realm="` + root + `token",service="` + host + `"`
	if scope := needed(prefix, t); scope != "" {
		value += `,scope="` + scope + `"`
	}
	if narrow {
		value += `,error="insufficient_scope"`
	}
	return value
}

// divide cuts the URL of a registry behind /v2/: what follows is a part of every
// name that a client knows, the prefix of a mirror.
func divide(base string) (root, prefix string) {
	const mark = "/v2/"
	if at := strings.Index(base, mark); at >= 0 {
		return base[:at+len(mark)], base[at+len(mark):]
	}
	return strings.TrimSuffix(base, "/") + mark, ""
}

// needed is the scope that a request needs, in the words of the client.
func needed(prefix string, t target) string {
	if t.op == opCatalog {
		return "registry:catalog:*"
	}
	if t.spoken == "" {
		return ""
	}
	actions := ""
	switch t.op.action(false) {
	case policy.Read:
		actions = "pull"
	case policy.Publish:
		actions = "pull,push"
	case policy.Delete:
		actions = "delete"
	}
	scope := "repository:" + prefix + t.spoken + ":" + actions
	if t.op == opMount && t.from != "" {
		// The source is named as the client has it already.
		scope += " repository:" + t.from + ":pull"
	}
	return scope
}
