package bearer

import (
	"errors"
	"net/url"
	"strings"
)

// Limits of what a challenge may hold, in bytes.
const (
	maxChallenge = 16 << 10
	maxRealm     = 2 << 10
	maxScope     = 4 << 10
)

// challenge says where a token is to be had, and for what.
type challenge struct {
	realm   string // absolute, http or https
	service string
	scope   string // perhaps several, between blanks; "" where the registry names none
}

// offer is one way to sign in: a scheme with what belongs to it.
type offer struct {
	scheme string            // lower case
	token  string            // of the form token68
	params map[string]string // names in lower case
}

// bearerOf returns the first Bearer challenge of the values of WWW-Authenticate.
func bearerOf(field string) (challenge, bool) {
	for _, o := range parseOffers(field) {
		realm, err := absolute(o.params["realm"])
		if o.scheme != "bearer" || err != nil || len(o.params["service"]) > maxRealm || len(o.params["scope"]) > maxScope {
			continue
		}
		return challenge{realm: realm, service: o.params["service"], scope: strings.Join(strings.Fields(o.params["scope"]), " ")}, true
	}
	return challenge{}, false
}

// absolute checks a realm, and drops from it what is never sent.
func absolute(realm string) (string, error) {
	if len(realm) > maxRealm {
		return "", errors.New("a realm that long")
	}
	u, err := url.Parse(realm)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || u.Opaque != "" {
		return "", errors.New("no absolute address")
	}
	if _, err := url.ParseQuery(u.RawQuery); err != nil {
		return "", errors.New("no query")
	}
	u.User, u.Fragment, u.RawFragment = nil, "", ""
	return u.String(), nil
}

// host returns the host of the token service, with its port.
func (c challenge) host() string {
	_, rest, _ := strings.Cut(c.realm, "://")
	return rest[:strings.IndexAny(rest+"/", "/?")]
}

// ask returns the address to ask for a token at.
func (c challenge) ask() string {
	q := url.Values{}
	if c.service != "" {
		q.Set("service", c.service)
	}
	for _, s := range strings.Fields(c.scope) {
		q.Add("scope", s)
	}
	switch {
	case len(q) == 0:
		return c.realm
	case strings.Contains(c.realm, "?"):
		return c.realm + "&" + q.Encode()
	}
	return c.realm + "?" + q.Encode()
}

// parseOffers reads the list of challenges of RFC 9110 section 11.6.1. What
// comes after something that is none is not believed.
func parseOffers(field string) []offer {
	if len(field) > maxChallenge {
		return nil
	}
	var list []offer
	for s := (scanner{field}); ; {
		s.skip(" \t,")
		o := offer{scheme: strings.ToLower(s.token()), params: map[string]string{}}
		if o.scheme == "" {
			return list
		}
		if !s.end() {
			if s.skip(" ") == 0 || !s.content(&o) {
				return list
			}
		}
		list = append(list, o)
	}
}

// scanner reads from the front of a text.
type scanner struct{ rest string }

// skip drops any of the characters of set, and says how many they were.
func (s *scanner) skip(set string) int {
	left := strings.TrimLeft(s.rest, set)
	n := len(s.rest) - len(left)
	s.rest = left
	return n
}

// end reports whether nothing more belongs to a challenge.
func (s *scanner) end() bool {
	left := strings.TrimLeft(s.rest, " \t")
	return left == "" || left[0] == ','
}

// take reads as long as all is in a set.
func (s *scanner) take(in func(byte) bool) string {
	n := 0
	for n < len(s.rest) && in(s.rest[n]) {
		n++
	}
	text := s.rest[:n]
	s.rest = s.rest[n:]
	return text
}

func (s *scanner) token() string { return s.take(isTokenChar) }

// content reads what follows a scheme: a token68 or parameters.
func (s *scanner) content(o *offer) bool {
	try := *s
	if text := try.take(isToken68Char); text != "" {
		text += try.take(func(c byte) bool { return c == '=' })
		if try.end() {
			o.token, *s = text, try
			return true
		}
	}
	for s.param(o) && s.end() {
		// After a comma comes another parameter, or the next challenge.
		try := *s
		try.skip(" \t,")
		next := try
		name := try.token()
		try.skip(" \t")
		if name == "" || !strings.HasPrefix(try.rest, "=") {
			return true
		}
		*s = next
	}
	return false
}

// param reads name=value. A name must not come twice in one challenge.
func (s *scanner) param(o *offer) bool {
	name := strings.ToLower(s.token())
	s.skip(" \t")
	if _, twice := o.params[name]; name == "" || twice || !strings.HasPrefix(s.rest, "=") {
		return false
	}
	s.rest = s.rest[1:]
	s.skip(" \t")
	value, ok := s.value()
	o.params[name] = value
	return ok
}

// value reads a token or a quoted string.
func (s *scanner) value() (string, bool) {
	if !strings.HasPrefix(s.rest, `"`) {
		text := s.token()
		return text, text != ""
	}
	var b strings.Builder
	for i := 1; i < len(s.rest); i++ {
		c := s.rest[i]
		if c == '"' {
			s.rest = s.rest[i+1:]
			return b.String(), true
		}
		if c == '\\' {
			if i++; i == len(s.rest) {
				break
			}
			c = s.rest[i]
		}
		if c < ' ' && c != '\t' || c == 0x7f {
			return "", false
		}
		b.WriteByte(c)
	}
	return "", false
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

func isTokenChar(c byte) bool {
	return isAlphanumeric(c) || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

func isToken68Char(c byte) bool { return isAlphanumeric(c) || strings.IndexByte("-._~+/", c) >= 0 }
