package directory

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"

	"larder/cache"
	"larder/cache/memory"
	"larder/policy"
	"larder/policy/token"
)

// crowd is a directory with users of one organization, each with a token and ten
// grants, written as rows. `go run ./cmd/bench decisions` asks the real index.
type crowd struct {
	*Directory
	secrets []string
}

const (
	crowdRepositories = 100
	crowdGrants       = 10 // of each user
)

func newCrowd(b *testing.B, users int) *crowd {
	b.Helper()
	ix := memory.NewIndex()
	d, err := Open(b.Context(), ix, Options{AnonymousRead: true})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := d.Bootstrap(b.Context(), filepath.Join(b.TempDir(), "admin.token")); err != nil {
		b.Fatal(err)
	}
	c := &crowd{Directory: d}
	err = ix.Update(b.Context(), func(w cache.Writer) error {
		if err := putOwner(w, Account{Name: "acme", Org: true, BaseRole: policy.RoleRead}, policy.Private); err != nil {
			return err
		}
		for i := range crowdRepositories {
			r := Repository{Owner: "acme", Name: fmt.Sprintf("r%d", i), Visibility: policy.Private}
			if err := put(w, repositoryKey(r.Owner, r.Name), r); err != nil {
				return err
			}
		}
		for i := range users {
			if err := c.enrol(w, i); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// enrol writes one user.
func (c *crowd) enrol(w cache.Writer, i int) error {
	name := fmt.Sprintf("user-%d", i)
	secret, err := token.New(token.Personal)
	if err != nil {
		return err
	}
	c.secrets = append(c.secrets, secret.Reveal())
	if err := put(w, accountKey(name), Account{Name: name}); err != nil {
		return err
	}
	if err := put(w, memberKey("acme", name), Member); err != nil {
		return err
	}
	for g := range crowdGrants {
		if err := put(w, grantKey("acme", fmt.Sprintf("r%d", (i+g)%crowdRepositories), name), policy.RoleWrite); err != nil {
			return err
		}
	}
	return putToken(w, secret.Digest(), tokenRow{Token: Token{
		ID: fmt.Sprintf("%016x", i), User: name, Kind: token.Personal, Hint: secret.Hint(), Last4: secret.Last4(),
		Scopes: []policy.Scope{policy.ReadPackages, policy.WritePackages},
	}})
}

func (c *crowd) decide(b *testing.B, i int) {
	s, err := c.Authenticate(b.Context(), c.secrets[i], netip.Addr{})
	if err != nil {
		b.Fatal(err)
	}
	res := policy.Resource{
		Format: "npm", Package: "one", Repository: fmt.Sprintf("acme/r%d", i%crowdRepositories), Visibility: policy.Private, Hosted: true,
	}
	if got := c.Authorize(b.Context(), s, policy.Publish, res); got.Verdict != policy.Allow {
		b.Fatal(got)
	}
}

// BenchmarkDecision: callers in turn, each of them remembered.
func BenchmarkDecision(b *testing.B) {
	for _, users := range []int{10, 10_000} {
		c := newCrowd(b, users)
		b.Run(fmt.Sprintf("users=%d", users), func(b *testing.B) {
			for i := range users {
				c.decide(b, i)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				c.decide(b, i%users)
			}
		})
	}
}

// BenchmarkFirstDecision: nothing is remembered of anybody.
func BenchmarkFirstDecision(b *testing.B) {
	for _, users := range []int{10, 10_000} {
		c := newCrowd(b, users)
		b.Run(fmt.Sprintf("users=%d", users), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				c.changes.count(touched{})
				c.decide(b, i%users)
			}
		})
	}
}
