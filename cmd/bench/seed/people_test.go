package seed

import (
	"net/netip"
	"testing"

	"larder/cache/badger"
	"larder/policy"
	"larder/policy/directory"
)

// Those who were enrolled are what a directory makes of people: their tokens
// sign in, and their grants are as good as any.
func TestEnrol(t *testing.T) {
	data, ctx := t.TempDir(), t.Context()
	all := People{Users: 6, Organizations: 2, Repositories: 9, Grants: 18, Tokens: 60}
	callers, err := Enrol(ctx, data, all, 20)
	if err != nil {
		t.Fatal(err)
	}
	if len(callers) != all.Users+20 {
		t.Errorf("%d callers, want one for each of %d users and 20 more", len(callers), all.Users)
	}
	ix, err := badger.Open(index(data), badger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer ix.Close()
	d, err := directory.Open(ctx, ix, directory.Options{})
	if err != nil {
		t.Fatal(err)
	}
	tokens, users := map[string]bool{}, map[string]int{}
	for _, c := range callers {
		s, err := d.Authenticate(ctx, c.Token, netip.Addr{})
		if err != nil || s.User != c.User || tokens[s.TokenID] {
			t.Fatalf("%+v signs in as %+v: %v", c, s, err)
		}
		tokens[s.TokenID] = true
		users[c.User]++
		role, err := d.Role(ctx, c.User, policy.Resource{Repository: c.Repository})
		if err != nil || role != policy.RoleWrite {
			t.Errorf("%s has the role %s in %s: %v", c.User, role, c.Repository, err)
		}
		listed, err := d.Tokens(ctx, s, s.User)
		if err != nil || len(listed) != all.Tokens/all.Users || listed[0].Hint == "" {
			t.Errorf("%s has %d tokens: %v", s.User, len(listed), err)
		}
	}
	if len(users) != all.Users {
		t.Errorf("callers are %v", users)
	}
}
