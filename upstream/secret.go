package upstream

import (
	"fmt"
	"io"
	"strconv"
)

// Secret is a text that nothing prints: no verb of fmt, no encoder, and no
// listing of a struct that holds it. Only Reveal gives the text, which is behind
// a pointer, because fmt prints what it finds in unexported fields of others
// without asking it. The zero value is the empty text.
type Secret struct{ text *string }

// Hide makes a text a Secret.
func Hide(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{&text}
}

// Reveal returns the text itself.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports that there is no text.
func (s Secret) IsZero() bool { return s.text == nil }

// String hides the text, and tells only that there is none.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return "[redacted]"
}

// Format hides the text from every verb of fmt.
func (s Secret) Format(f fmt.State, verb rune) { WriteHidden(f, verb, s.String()) }

// MarshalText hides the text.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// WriteHidden answers any verb of fmt with what may be shown: for the method
// Format of types that hold secrets.
func WriteHidden(f fmt.State, verb rune, shown string) {
	if verb == 'q' || verb == 'v' && f.Flag('#') {
		shown = strconv.Quote(shown)
	}
	// Who prints learns of an error by his own writer.
	_, _ = io.WriteString(f, shown)
}
