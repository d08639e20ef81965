package policy

import (
	"fmt"
	"slices"
	"strings"
)

// AllScopes returns every scope, weakest first: the order in which scopes are
// stored and shown.
func AllScopes() []Scope {
	return []Scope{ReadPackages, WritePackages, DeletePackages, Repo, AdminOrg, AdminInstance}
}

// ParseScopes reads scopes from texts in which they are separated by commas or
// blanks. Twice is once; the result is in the order of AllScopes. No scope at
// all is an error, because a token without one could do nothing.
func ParseScopes(texts ...string) ([]Scope, error) {
	var scopes []Scope
	for _, text := range texts {
		for _, word := range strings.FieldsFunc(text, func(c rune) bool { return c == ',' || c == ' ' || c == '\t' }) {
			scopes = append(scopes, Scope(word))
		}
	}
	return CheckScopes(scopes)
}

// CheckScopes validates scopes as ParseScopes does.
func CheckScopes(scopes []Scope) ([]Scope, error) {
	all := AllScopes()
	for _, s := range scopes {
		if !slices.Contains(all, s) {
			return nil, fmt.Errorf("scope %.40q is not known: use %s", string(s), JoinScopes(all))
		}
	}
	var sorted []Scope
	for _, s := range all {
		if slices.Contains(scopes, s) {
			sorted = append(sorted, s)
		}
	}
	if len(sorted) == 0 {
		return nil, fmt.Errorf("no scope given: use one or more of %s", JoinScopes(all))
	}
	return sorted, nil
}

// JoinScopes lists scopes as in the header X-OAuth-Scopes. One scope costs no
// allocation.
func JoinScopes(scopes []Scope) string {
	if len(scopes) == 1 {
		return string(scopes[0])
	}
	var b strings.Builder
	for i, s := range scopes {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(string(s))
	}
	return b.String()
}

// Holds reports whether the scopes held give want, by themselves or because
// writing implies reading.
func Holds(held []Scope, want Scope) bool {
	for _, h := range held {
		if h == want || h == WritePackages && want == ReadPackages {
			return true
		}
	}
	return false
}

// Covers reports whether held gives every scope of want.
func Covers(held, want []Scope) bool {
	for _, w := range want {
		if !Holds(held, w) {
			return false
		}
	}
	return true
}
