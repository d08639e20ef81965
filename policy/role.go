package policy

import "fmt"

// String returns the word that config, API and command line use.
func (r Role) String() string {
	switch r {
	case RoleRead:
		return "read"
	case RoleWrite:
		return "write"
	case RoleAdmin:
		return "admin"
	}
	return "none"
}

// ParseRole reads none, read, write or admin.
func ParseRole(s string) (Role, error) {
	for r := RoleNone; r <= RoleAdmin; r++ {
		if r.String() == s {
			return r, nil
		}
	}
	return RoleNone, fmt.Errorf("role %.40q is not known: use none, read, write or admin", s)
}

// MarshalText writes the word, so that records and replies hold no numbers.
func (r Role) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads the word.
func (r *Role) UnmarshalText(text []byte) error {
	parsed, err := ParseRole(string(text))
	*r = parsed
	return err
}

// ParseVisibility reads public, internal or private.
func ParseVisibility(s string) (Visibility, error) {
	switch v := Visibility(s); v {
	case Public, Internal, Private:
		return v, nil
	}
	return "", fmt.Errorf("visibility %.40q is not known: use public, internal or private", s)
}
