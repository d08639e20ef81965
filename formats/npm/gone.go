package npm

import (
	"errors"

	"larder/formats"
	"larder/policy"
)

// withdraw takes versions away, in as many transactions as it needs: there is no end
// to what a package holds, and one to what a transaction does. first is done in the
// one that begins it. What was published meanwhile stays. Where it breaks off, it
// goes on when the client does the same again.
func (s *serving) withdraw(rev string, first func(formats.Tx, *formats.Package) (gone []string, err error)) error {
	var left []string
	err := s.alter(policy.Delete, rev, func(tx formats.Tx, p *formats.Package, a *about) error {
		left = nil
		gone, err := first(tx, p)
		if err != nil {
			return err
		}
		left, err = s.withdrawSome(tx, p, a, gone)
		return err
	})
	for err == nil && len(left) > 0 {
		var more []string
		err = s.alter(policy.Delete, "", func(tx formats.Tx, p *formats.Package, a *about) (err error) {
			more, err = s.withdrawSome(tx, p, a, left)
			return err
		})
		left = more
	}
	return err
}

// withdrawSome takes away what one transaction has room for, at least one, and
// returns the rest.
func (s *serving) withdrawSome(tx formats.Tx, p *formats.Package, a *about, gone []string) (left []string, err error) {
	size := 0
	for i, v := range gone {
		r, err := tx.Release(v)
		if errors.Is(err, formats.ErrNotFound) || err == nil && !r.Retracted.IsZero() {
			continue
		}
		if err != nil {
			return nil, err
		}
		if size += r.Weight(); size > formats.TxBudget && i > 0 {
			left = gone[i:]
			break
		}
		if err := tx.Retract(v); err != nil {
			return nil, err
		}
	}
	return left, s.settleTags(tx, p, a)
}

// living returns the versions that are not retracted and of which drop says so.
func living(tx formats.Tx, drop func(version string) bool) (list []string, err error) {
	for r, err := range tx.Releases() {
		if err != nil {
			return nil, err
		}
		if r.Retracted.IsZero() && drop(r.Version) {
			list = append(list, r.Version)
		}
	}
	return list, nil
}

func every(string) bool { return true }

// whole refuses to publish into a package whose deletion has not come to its end:
// what is left of it would be seen again.
func whole(tx formats.Tx, p *formats.Package) error {
	if p.Deleted.IsZero() {
		return nil
	}
	left, err := living(tx, every)
	if err == nil && len(left) > 0 {
		err = formats.Refuse(formats.ErrConflict, "the deletion of "+p.Name+" broke off: repeat npm unpublish "+p.Name+" --force before you publish it anew")
	}
	return err
}
