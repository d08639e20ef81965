package oci

import (
	"slices"
	"strings"

	"larder/policy"
)

// Limits of a request for a token. What is beyond them is left out: the caller
// then gets less than was asked for, which is never an error.
const (
	maxScopes    = 100
	maxScopeText = 16 << 10 // bytes of all scopes of a request
)

// scope is the right to an image that a client asks for, or to the catalog,
// which has no name.
type scope struct {
	name    string
	actions []policy.Action // none twice
}

// parseScopes reads scopes as clients send them: several values, each with
// several scopes between blanks. Those of one image are joined. What is not
// understood is left out and never an error: a client asks for all that it
// might need, and must get what of it there is.
func parseScopes(values []string) []scope {
	var list []scope
	room := maxScopeText
	for _, value := range values {
		if room -= len(value); room < 0 {
			return list
		}
		for _, text := range strings.Fields(value) {
			s, ok := parseScope(text)
			if !ok {
				continue
			}
			at := slices.IndexFunc(list, func(known scope) bool { return known.name == s.name })
			switch {
			case at >= 0:
				list[at].add(s.actions)
			case len(list) == maxScopes:
				return list
			default:
				list = append(list, s)
			}
		}
	}
	return list
}

// parseScope reads type[(class)]:name:actions. The name may hold colons: what
// comes before its last slash may be a host with a port.
func parseScope(text string) (scope, bool) {
	kind, rest, ok := strings.Cut(text, ":")
	at := strings.LastIndexByte(rest, ':')
	if !ok || at < 0 {
		return scope{}, false
	}
	if word, class, found := strings.Cut(kind, "("); found {
		if !strings.HasSuffix(class, ")") {
			return scope{}, false
		}
		kind = word
	}
	name, words := rest[:at], rest[at+1:]
	switch {
	case kind == "registry" && name == "catalog" && slices.Contains(strings.Split(words, ","), "*"):
		return scope{actions: []policy.Action{policy.Open}}, true
	case kind != "repository":
		return scope{}, false
	}
	if host, image, found := strings.Cut(name, "/"); found && strings.Contains(host, ":") {
		name = image
	}
	if !isName(name) || len(name) > maxReference {
		return scope{}, false
	}
	s := scope{name: name}
	for word := range strings.SplitSeq(words, ",") {
		s.add(actionsOf(word))
	}
	return s, len(s.actions) > 0
}

// actionsOf translates a word of a scope; an unknown one means nothing.
func actionsOf(word string) []policy.Action {
	switch word {
	case "pull":
		return []policy.Action{policy.Read}
	case "push":
		return []policy.Action{policy.Publish}
	case "delete":
		return []policy.Action{policy.Delete}
	case "*":
		return []policy.Action{policy.Read, policy.Publish, policy.Delete}
	}
	return nil
}

func (s *scope) add(actions []policy.Action) {
	for _, a := range actions {
		if !slices.Contains(s.actions, a) {
			s.actions = append(s.actions, a)
		}
	}
}

// intersect keeps what may be had of what was asked. Nothing is as good an
// answer as any: the request that follows is then refused for a reason. The
// catalog is everybody's, since it shows to each what they may read.
func intersect(asked []scope, may func(name string, a policy.Action) bool) []scope {
	var granted []scope
	for _, s := range asked {
		kept := scope{name: s.name}
		for _, a := range s.actions {
			if s.name == "" || may(s.name, a) {
				kept.actions = append(kept.actions, a)
			}
		}
		if len(kept.actions) > 0 {
			granted = append(granted, kept)
		}
	}
	return granted
}
