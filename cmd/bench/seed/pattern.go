package seed

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"os"

	"larder/cache"
	"larder/cache/memory"
	"larder/policy"
	"larder/policy/directory"
	"larder/policy/token"
)

// Names of the pattern, which no other text of its rows holds.
const (
	patternUser       = "pattern-user"
	patternOrg        = "pattern-org"
	patternRepository = "pattern-repository"
)

// pattern is the rows that a directory writes of one of each, and what tells
// its token.
type pattern struct {
	user, org, repository, member, grant, token []cache.Row
	digest, id, hint, last4                     string
}

// patterns lets a directory make one of each. file holds its first token for a
// moment.
func patterns(ctx context.Context, file string) (p *pattern, err error) {
	ix := memory.NewIndex()
	d, err := directory.Open(ctx, ix, directory.Options{})
	if err == nil {
		_, err = d.Bootstrap(ctx, file)
	}
	if err != nil {
		return nil, errors.Join(err, ix.Close())
	}
	text, err := os.ReadFile(file)
	var admin policy.Subject
	if err == nil {
		admin, err = d.Authenticate(ctx, string(bytes.TrimSpace(text)), netip.Addr{})
	}
	p = &pattern{}
	if err == nil {
		err = p.learn(ctx, ix, d, admin)
	}
	return p, errors.Join(err, os.Remove(file), ix.Close())
}

func (p *pattern) learn(ctx context.Context, ix cache.Index, d *directory.Directory, admin policy.Subject) error {
	const where = patternOrg + "/" + patternRepository
	var secret token.Secret
	var made directory.Token
	for _, step := range []struct {
		rows *[]cache.Row
		make func() error
	}{
		{&p.user, func() error { return d.CreateUser(ctx, admin, directory.Account{Name: patternUser}) }},
		{&p.org, func() error {
			return d.CreateUser(ctx, admin, directory.Account{Name: patternOrg, Org: true, BaseRole: policy.RoleRead})
		}},
		{&p.repository, func() error { return d.CreateRepository(ctx, admin, where, policy.Private) }},
		{&p.member, func() error { return d.SetMember(ctx, admin, patternOrg, patternUser, directory.Member) }},
		{&p.grant, func() error { return d.Grant(ctx, admin, where, patternUser, policy.RoleWrite) }},
		{&p.token, func() (err error) {
			secret, made, err = d.MintToken(ctx, admin, directory.Mint{User: patternUser, Scopes: []policy.Scope{policy.ReadPackages, policy.WritePackages}})
			return err
		}},
	} {
		before, err := everything(ctx, ix)
		if err == nil {
			err = step.make()
		}
		if err != nil {
			return err
		}
		digest := secret.Digest()
		p.digest, p.id, p.hint, p.last4 = string(digest[:]), made.ID, made.Hint, made.Last4
		after, err := everything(ctx, ix)
		if err != nil {
			return err
		}
		*step.rows = p.about(before, after)
	}
	return nil
}

// about returns the new rows whose keys speak of the pattern: others are the
// audit log's.
func (p *pattern) about(before, after map[string]cache.Row) []cache.Row {
	var rows []cache.Row
	for key, row := range after {
		if _, old := before[key]; old {
			continue
		}
		for _, name := range []string{patternUser, patternOrg, p.digest, p.id} {
			if name != "" && bytes.Contains(row.Key, []byte(name)) {
				rows = append(rows, row)
				break
			}
		}
	}
	return rows
}

func everything(ctx context.Context, ix cache.Index) (map[string]cache.Row, error) {
	all := map[string]cache.Row{}
	err := ix.View(ctx, func(r cache.Reader) error {
		for row, err := range r.Scan(nil, nil) {
			if err != nil {
				return err
			}
			all[string(row.Key)] = row
		}
		return nil
	})
	return all, err
}
