package policy

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// MaxClaims bounds the claims of an instance, which are held in memory.
const MaxClaims = 10_000

// maxMatches bounds the patterns of one claim.
const maxMatches = 100

// Claim says that names are ours: which repository they belong to, and that
// they are never asked upstream.
type Claim struct {
	ID         string   `json:"id"`
	Formats    []string `json:"formats"` // empty: every format
	Match      []string `json:"match"`   // see CheckPattern
	Repository string   `json:"repository"`
}

var claimID = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,99}$`)

// Check validates one claim; the error names the claim and what to write instead.
func (c Claim) Check() error {
	switch {
	case !claimID.MatchString(c.ID):
		return fmt.Errorf("claim %.40q: the id must be of a-z, 0-9, dot, dash and underscore", c.ID)
	case len(c.Match) == 0:
		return fmt.Errorf("claim %s matches nothing: add a pattern", c.ID)
	case len(c.Match) > maxMatches:
		return fmt.Errorf("claim %s holds more than %d patterns", c.ID, maxMatches)
	case checkRepository(c.Repository) != nil:
		return fmt.Errorf("claim %s: %w", c.ID, checkRepository(c.Repository))
	}
	for _, f := range c.Formats {
		if checkWord(f) != nil {
			return fmt.Errorf("claim %s: %.40q is no format", c.ID, f)
		}
	}
	for _, pattern := range c.Match {
		if err := c.checkPattern(pattern); err != nil {
			return fmt.Errorf("claim %s: %w", c.ID, err)
		}
	}
	return nil
}

func (c Claim) checkPattern(pattern string) error {
	if err := CheckPattern(pattern); err != nil {
		return err
	}
	if strings.Trim(pattern, "*@/.") == "" {
		return fmt.Errorf("pattern %q claims every name: give the registry no upstream instead", pattern)
	}
	for _, f := range c.Formats {
		if err := checkShape(f, pattern); err != nil {
			return err
		}
	}
	return nil
}

// checkShape catches patterns that could cover no name of a format.
func checkShape(format, pattern string) error {
	slash := strings.Contains(pattern, "/")
	switch format {
	case "npm":
		if strings.HasPrefix(pattern, "@") && !slash {
			return fmt.Errorf("pattern %q covers no npm package: a scope is claimed as %s/**", pattern, strings.TrimRight(pattern, "*"))
		}
		if !strings.HasPrefix(pattern, "@") && slash {
			return fmt.Errorf("pattern %q covers no npm package: a scope begins with @", pattern)
		}
	case "maven", "gradle":
		if slash || strings.HasPrefix(pattern, "@") {
			return fmt.Errorf("pattern %q covers no Maven group: write it with dots, such as com.acme.**", pattern)
		}
	case "rubygems", "nuget":
		if slash || strings.HasPrefix(pattern, "@") {
			return fmt.Errorf("pattern %q covers no %s name: those hold neither / nor @", pattern, format)
		}
	case "oci":
		if strings.HasPrefix(pattern, "@") || strings.HasPrefix(pattern, "/") {
			return fmt.Errorf("pattern %q covers no image: write it as acme/**", pattern)
		}
	}
	return nil
}

// Claims finds the claim of a name. It does not change once made.
type Claims struct {
	all []Claim
	// heads are the patterns by format and by what stands before their first
	// wildcard; "" stands for every format.
	heads map[head][]entry
	// lengths of the heads, by format, longest first.
	lengths map[string][]int
}

type head struct{ format, text string }

type entry struct {
	pattern string
	claim   int // in all
}

// NewClaims checks claims and makes them searchable. Two claims of one id, or
// of one pattern in one format, are an error.
func NewClaims(claims []Claim) (*Claims, error) {
	if len(claims) > MaxClaims {
		return nil, fmt.Errorf("%d claims: at most %d are allowed", len(claims), MaxClaims)
	}
	c := &Claims{all: slices.Clone(claims), heads: map[head][]entry{}, lengths: map[string][]int{}}
	ids := map[string]bool{}
	var errs []error
	for i, claim := range c.all {
		err := claim.Check()
		if err == nil && ids[claim.ID] {
			err = fmt.Errorf("claim %s is there twice", claim.ID)
		}
		ids[claim.ID] = true
		if err == nil {
			err = c.add(i, claim)
		}
		errs = append(errs, err)
	}
	return c, errors.Join(errs...)
}

func (c *Claims) add(i int, claim Claim) error {
	formats := claim.Formats
	if len(formats) == 0 {
		formats = []string{""}
	}
	for _, f := range formats {
		for _, pattern := range claim.Match {
			pattern = fold(f, pattern)
			h := head{f, headOf(pattern)}
			for _, e := range c.heads[h] {
				if e.pattern == pattern {
					return fmt.Errorf("claims %s and %s both hold the pattern %s", c.all[e.claim].ID, claim.ID, pattern)
				}
			}
			c.heads[h] = append(c.heads[h], entry{pattern, i})
			if n := len(h.text); !slices.Contains(c.lengths[f], n) {
				c.lengths[f] = append(c.lengths[f], n)
			}
		}
	}
	return nil
}

// headOf is what every name covered by the pattern begins with.
func headOf(pattern string) string {
	text, _, _ := strings.Cut(pattern, "*")
	if strings.HasSuffix(pattern, ".**") {
		return strings.TrimSuffix(text, ".")
	}
	return text
}

// fold makes names comparable: two NuGet ids that differ in case alone are the same.
func fold(format, name string) string {
	if format == "nuget" {
		return strings.ToLower(name)
	}
	return name
}

// Match returns the claim that covers a name most exactly, and whether there is
// one. Of equally exact ones the first in order of definition counts. A Maven
// name may be a group or group:artifact; its group decides.
func (c *Claims) Match(format, name string) (Claim, bool) {
	best, found := 0, -1
	name = fold(format, name)
	for _, f := range [2]string{format, ""} {
		text := name
		if format == "maven" || format == "gradle" {
			text, _, _ = strings.Cut(name, ":")
		}
		for _, n := range c.lengths[f] {
			if n > len(text) {
				continue
			}
			for _, e := range c.heads[head{f, text[:n]}] {
				if w := weight(e.pattern); w > best && Match(e.pattern, text) {
					best, found = w, e.claim
				}
			}
		}
	}
	if found < 0 {
		return Claim{}, false
	}
	return c.all[found], true
}

// All returns the claims in order of definition.
func (c *Claims) All() []Claim { return slices.Clone(c.all) }
