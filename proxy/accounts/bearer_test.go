package accounts

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"larder/formats"
	"larder/policy"
	"larder/policy/directory"
)

func TestSignIn(t *testing.T) {
	f, ctx := newFixture(t), t.Context()
	ann, secret := f.user("ann", directory.Mint{})
	for _, c := range []struct{ user, password string }{{"ann", secret}, {"someone", secret}, {"", secret}, {secret, ""}, {secret, "x-oauth-basic"}} {
		s, err := f.SignIn(ctx, here, c.user, c.password)
		if err != nil || s.TokenID != ann.TokenID {
			t.Errorf("%.4s…: %+v, %v", c.user, s, err)
		}
	}
	for _, c := range []struct{ user, password string }{{"ann", "hunter2"}, {"ann", ""}, {"", ""}} {
		if s, err := f.SignIn(ctx, here, c.user, c.password); !errors.Is(err, policy.ErrUnauthenticated) || !s.Anonymous() {
			t.Errorf("%q with %q: %+v, %v", c.user, c.password, s, err)
		}
	}
	_, other := f.user("eve", directory.Mint{})
	if _, err := f.SignIn(ctx, here, other, secret); !errors.Is(err, formats.ErrBadRequest) {
		t.Errorf("two tokens: %v", err)
	}
}

// Who guesses at the token service has to wait as everywhere else.
func TestSignInIsThrottled(t *testing.T) {
	f := newFixture(t)
	_, secret := f.user("ann", directory.Mint{})
	var wait *directory.ThrottledError
	for i := 0; !errors.As(errOf(f.SignIn(t.Context(), here, "ann", "guess")), &wait); i++ {
		if i > 200 {
			t.Fatal("nobody counts")
		}
	}
	if _, err := f.SignIn(t.Context(), here, "ann", secret); err != nil {
		t.Errorf("with a token that is good: %v", err)
	}
}

func errOf(_ policy.Subject, err error) error { return err }

// What the token service hands out is a credential for what it says, by every
// carrier, and makes nothing that is more.
func TestBearer(t *testing.T) {
	f, ctx := newFixture(t), t.Context()
	ann, _ := f.user("ann", directory.Mint{})
	b, err := f.Bearer(ctx, ann, []policy.Grant{{Format: "oci", Package: "ann/app", Actions: []policy.Action{policy.Read}}})
	must(t, err)
	if b.Life != 5*time.Minute || !b.Issued.Equal(f.Now()) || !strings.HasPrefix(b.Secret, "ldrx_") {
		t.Errorf("%s from %s", b.Life, b.Issued)
	}
	for _, auth := range []string{"Bearer " + b.Secret, "Basic " + b64("ann:"+b.Secret), "token " + b.Secret, b.Secret} {
		r := httptest.NewRequest(http.MethodGet, "/v2/", nil)
		r.Header.Set("Authorization", auth)
		if s, err := f.Identify(r, here); err != nil || s.User != "ann" || s.Grants == nil {
			t.Errorf("%.6s…: %+v, %v", auth, s, err)
		}
	}
	narrow := f.signIn(b.Secret)
	if _, err := f.Bearer(ctx, narrow, nil); !errors.Is(err, policy.ErrUnauthenticated) {
		t.Errorf("traded for another: %v", err)
	}
	if secret, err := f.Login(ctx, here, "ann", b.Secret); secret != "" || !errors.Is(err, policy.ErrUnauthenticated) {
		t.Errorf("traded for a session: %v", err)
	}
	if secret, _, err := f.Mint(ctx, narrow, formats.Token{}); secret != "" || !errors.Is(err, policy.ErrUnauthenticated) {
		t.Errorf("made a token: %v", err)
	}
	id, code, err := f.Pairing().Begin(ctx, here)
	must(t, err)
	if err := f.Pairing().Confirm(ctx, code, narrow); !errors.Is(err, policy.ErrUnauthenticated) {
		t.Errorf("confirmed the login of another program: %v", err)
	}
	if _, ok, err := f.Pairing().Take(ctx, id); ok || err != nil {
		t.Errorf("and it was signed in: %v, %v", ok, err)
	}
	f.Advance(5 * time.Minute)
	if _, err := f.dir.Authenticate(ctx, b.Secret, here); !errors.Is(err, policy.ErrUnauthenticated) {
		t.Errorf("after its end: %v", err)
	}
}
