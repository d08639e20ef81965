package seed

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"larder/cache"
	"larder/cache/badger"
	"larder/policy/token"
)

// People says how many of everything a directory holds. Every user is a member
// of an organization and has an equal share of the grants and of the tokens.
type People struct {
	Users, Organizations int
	Repositories         int // of organizations, private
	Grants, Tokens       int
}

// Caller is a token and a repository in which a grant lets its user read.
type Caller struct{ Token, User, Repository string }

// peoplePage is how many rows one transaction writes, at most.
const peoplePage = 2048

// Enrol writes people into a data folder that a server has begun, as a server
// would have, but for its audit log. It returns a caller for every user, and
// then so many more by any other tokens.
func Enrol(ctx context.Context, data string, all People, more int) ([]Caller, error) {
	made, err := patterns(ctx, filepath.Join(data, "pattern.token"))
	if err != nil {
		return nil, fmt.Errorf("learn the rows of people: %w", err)
	}
	ix, err := badger.Open(index(data), badger.Options{})
	if err != nil {
		return nil, fmt.Errorf("enrol people: %w", err)
	}
	e := enrolment{ctx: ctx, index: ix, made: made, all: all}
	found, err := e.run(more)
	if err == nil {
		err = rest(ctx)
	}
	if err = errors.Join(err, ix.Close()); err != nil {
		return nil, fmt.Errorf("enrol people: %w", err)
	}
	return found, nil
}

// enrolment is the state of Enrol.
type enrolment struct {
	ctx   context.Context
	index cache.Index
	made  *pattern
	all   People
	rows  []cache.Row // not written yet
}

func (e *enrolment) run(more int) ([]Caller, error) {
	for i := range e.all.Organizations {
		if err := e.add(e.made.org, pair{patternOrg, e.org(i)}); err != nil {
			return nil, err
		}
	}
	for i := range e.all.Repositories {
		owner, name, _ := strings.Cut(e.repository(i), "/")
		if err := e.add(e.made.repository, pair{patternOrg, owner}, pair{patternRepository, name}); err != nil {
			return nil, err
		}
	}
	for i := range e.all.Users {
		if err := e.user(i); err != nil {
			return nil, err
		}
	}
	found, err := e.tokens(more)
	return found, errors.Join(err, e.write())
}

func (e *enrolment) user(i int) error {
	name := userName(i)
	if err := e.add(e.made.user, pair{patternUser, name}); err != nil {
		return err
	}
	if err := e.add(e.made.member, pair{patternUser, name}, pair{patternOrg, e.org(i)}); err != nil {
		return err
	}
	for g := range e.grants() {
		owner, repository, _ := strings.Cut(e.granted(i, g), "/")
		err := e.add(e.made.grant, pair{patternUser, name}, pair{patternOrg, owner}, pair{patternRepository, repository})
		if err != nil {
			return err
		}
	}
	return nil
}

func (e *enrolment) tokens(more int) ([]Caller, error) {
	var first, others []Caller
	random := chance()
	for i := range e.all.Tokens {
		secret, err := token.New(token.Personal)
		if err == nil {
			err = e.token(i, secret)
		}
		if err != nil {
			return nil, err
		}
		user := i % e.all.Users
		c := Caller{secret.Reveal(), userName(user), e.granted(user, i/e.all.Users%e.grants())}
		switch {
		case i < e.all.Users:
			first = append(first, c)
		case random.IntN(e.all.Tokens-i) < more-len(others):
			others = append(others, c)
		}
	}
	for _, some := range [][]Caller{first, others} {
		random.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
	}
	return append(first, others...), nil
}

func (e *enrolment) token(i int, secret token.Secret) error {
	digest := secret.Digest()
	return e.add(e.made.token,
		pair{e.made.digest, string(digest[:])}, pair{e.made.id, fmt.Sprintf("%016x", i)}, pair{patternUser, userName(i % e.all.Users)},
		pair{`"hint":"` + e.made.hint, `"hint":"` + secret.Hint()}, pair{`"last4":"` + e.made.last4, `"last4":"` + secret.Last4()})
}

func userName(i int) string { return fmt.Sprintf("user%06d", i) }

func (e *enrolment) org(i int) string { return fmt.Sprintf("org%04d", i%e.all.Organizations) }

func (e *enrolment) repository(i int) string {
	i %= e.all.Repositories
	return fmt.Sprintf("%s/repository%04d", e.org(i), i)
}

// grants is how many one user has.
func (e *enrolment) grants() int { return e.all.Grants / e.all.Users }

// granted is the repository of a user's grant: all of one user differ as long as
// there are as many repositories.
func (e *enrolment) granted(user, grant int) string {
	return e.repository(user + grant*max(1, e.all.Repositories/e.grants()))
}

// pair is a text of the pattern and what takes its place.
type pair struct{ was, is string }

// add makes rows like those of the pattern.
func (e *enrolment) add(rows []cache.Row, pairs ...pair) error {
	for _, row := range rows {
		key, value := row.Key, row.Value
		for _, p := range pairs {
			key, value = bytes.ReplaceAll(key, []byte(p.was), []byte(p.is)), bytes.ReplaceAll(value, []byte(p.was), []byte(p.is))
		}
		e.rows = append(e.rows, cache.Row{Key: key, Value: value})
	}
	if len(e.rows) < peoplePage {
		return nil
	}
	return e.write()
}

func (e *enrolment) write() error {
	err := e.index.Update(e.ctx, func(w cache.Writer) error {
		for _, row := range e.rows {
			if err := w.Put(row.Key, row.Value); err != nil {
				return err
			}
		}
		return nil
	})
	e.rows = e.rows[:0]
	return err
}
