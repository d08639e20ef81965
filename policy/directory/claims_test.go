package directory

import (
	"strings"
	"testing"

	"larder/cache"
	"larder/policy"
)

func TestHome(t *testing.T) {
	w, ctx := newWorld(t, Options{
		DefaultRepository: "admin/packages",
		Claims:            []policy.Claim{{ID: "cfg", Formats: []string{"npm"}, Match: []string{"@acme/ui-*"}, Repository: "acme/ui"}},
	}), t.Context()
	w.org("acme")
	for _, c := range []struct{ format, name, owner, want string }{
		{"npm", "@acme/ui-a", "acme", "acme/ui"},
		{"npm", "@acme/b", "acme", "acme/packages"},
		{"npm", "@nobody/b", "nobody", "admin/packages"},
		{"npm", "left-pad", "", "admin/packages"},
		{"oci", "acme/img", "acme", "acme/packages"},
		{"npm", "@../b", "..", "admin/packages"},
	} {
		if got, err := w.Home(ctx, c.format, c.name, c.owner); got != c.want || err != nil {
			t.Errorf("%s goes to %q, %v, want %s", c.name, got, err, c.want)
		}
	}
}

func TestNoHomeSaysWhichClaimToAdd(t *testing.T) {
	w, ctx := newWorld(t, Options{DefaultRepository: "admin/none"}), t.Context()
	for _, c := range []struct{ format, name, owner, pattern string }{
		{"npm", "@acme/b", "acme", "npm '@acme/**'"},
		{"npm", "left-pad", "", "npm 'left-pad'"},
		{"maven", "com.acme:lib", "", "maven 'com.acme.**'"},
		{"oci", "acme/img", "acme", "oci 'acme/**'"},
	} {
		_, err := w.Home(ctx, c.format, c.name, c.owner)
		wantKind(t, c.name, err, policy.ErrDenied)
		if !strings.Contains(err.Error(), "larder claim add "+c.pattern) {
			t.Errorf("%s: %v does not name the claim", c.name, err)
		}
	}
}

func TestClaimsByAPI(t *testing.T) {
	config := policy.Claim{ID: "cfg", Formats: []string{"npm"}, Match: []string{"@cfg/**"}, Repository: "acme/packages"}
	w, ctx := newWorld(t, Options{Claims: []policy.Claim{config}, Formats: []string{"npm", "maven"}}), t.Context()
	w.org("acme")
	before := w.Generation()
	made, err := w.AddClaim(ctx, w.admin, policy.Claim{Formats: []string{"npm"}, Match: []string{"@acme/**"}, Repository: "acme/packages"})
	must(t, err)
	if id, repository, ok := w.Claim("npm", "@acme/x"); !ok || id != made.ID || repository != "acme/packages" {
		t.Errorf("claim %q of %q, %v", id, repository, ok)
	}
	if !strings.HasPrefix(made.ID, "npm-acme-") || w.Generation() == before {
		t.Errorf("id %q, generation unmoved: %v", made.ID, w.Generation() == before)
	}
	for name, c := range map[string]struct {
		claim policy.Claim
		kind  error
	}{
		"again":         {policy.Claim{Formats: []string{"npm"}, Match: []string{"@acme/**"}, Repository: "acme/packages"}, ErrExists},
		"same pattern":  {policy.Claim{ID: "z", Formats: []string{"npm"}, Match: []string{"@cfg/**"}, Repository: "acme/packages"}, ErrExists},
		"same id":       {policy.Claim{ID: "cfg", Match: []string{"x"}, Repository: "acme/packages"}, ErrExists},
		"bad pattern":   {policy.Claim{Match: []string{"a**"}, Repository: "acme/packages"}, ErrInvalid},
		"bad format":    {policy.Claim{Formats: []string{"nmp"}, Match: []string{"a"}, Repository: "acme/packages"}, ErrInvalid},
		"no repository": {policy.Claim{Match: []string{"a"}, Repository: "acme/none"}, cache.ErrNotExist},
	} {
		_, err := w.AddClaim(ctx, w.admin, c.claim)
		wantKind(t, name, err, c.kind)
	}
	again, err := Open(ctx, w.index, Options{Claims: []policy.Claim{config}})
	must(t, err)
	if all, err := again.Claims(ctx, w.admin); err != nil || len(all) != 2 {
		t.Errorf("after a restart there are %v, %v", all, err)
	}
	wantKind(t, "remove from the config", w.RemoveClaim(ctx, w.admin, "cfg"), ErrConflict)
	must(t, w.RemoveClaim(ctx, w.admin, made.ID))
	wantKind(t, "remove twice", w.RemoveClaim(ctx, w.admin, made.ID), cache.ErrNotExist)
	if _, _, ok := w.Claim("npm", "@acme/x"); ok {
		t.Error("a removed claim still holds")
	}
}

func TestSetClaimsKeepsTheOldSetOnError(t *testing.T) {
	good := policy.Claim{ID: "a", Match: []string{"a-*"}, Repository: "acme/x"}
	w, ctx := newWorld(t, Options{Claims: []policy.Claim{good}}), t.Context()
	if err := w.SetClaims(ctx, []policy.Claim{{ID: "b", Match: []string{"b**"}, Repository: "acme/x"}}); err == nil {
		t.Error("a bad set was taken")
	}
	if _, _, ok := w.Claim("npm", "a-x"); !ok {
		t.Error("the old set is gone")
	}
	must(t, w.SetClaims(ctx, []policy.Claim{{ID: "b", Match: []string{"b-*"}, Repository: "acme/x"}}))
	_, _, old := w.Claim("npm", "a-x")
	_, _, now := w.Claim("npm", "b-x")
	if old || !now {
		t.Error("the new set does not hold")
	}
}
