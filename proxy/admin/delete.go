package admin

import (
	"errors"
	"slices"
	"strings"
	"time"

	"larder/formats"
	"larder/policy"
	"larder/policy/purl"
)

// Settler is implemented by formats that keep records about a package's
// versions (tags, a summary for searches), to put them right after versions
// went away or came back. It is called inside the transaction, before Save.
type Settler interface {
	Settle(tx formats.Tx, p *formats.Package) error
}

// Restorer is implemented by transactions that can bring a retracted version
// back while its bytes are still kept. Errors: formats.ErrNotFound,
// ErrConflict once they are gone.
type Restorer interface {
	Restore(version string) error
}

// Changed is the answer of a deletion or restoration: the versions concerned.
type Changed struct {
	Purl     string   `json:"purl" doc:"What was asked for."`
	Versions []string `json:"versions" doc:"The versions concerned."`
	Package  bool     `json:"package" doc:"The package as a whole went or came back."`
	DryRun   bool     `json:"dry_run,omitempty" doc:"Nothing was changed."`

	more bool // versions are left that are to go, or to come back, too
}

// step is what a deletion or restoration does to one version.
type step struct {
	version string
	bytes   int // about what it writes
}

func stepOf(r *formats.Release) step {
	return step{r.Version, r.Weight()}
}

// take does the steps that one transaction has room for, at least one, and tells
// them; a dry run tells all.
func (c *Changed) take(list []step, do func(version string) error) error {
	size := 0
	for i, s := range list {
		if size += s.bytes; size > formats.TxBudget && i > 0 {
			c.more = !c.DryRun
			break
		}
		if err := do(s.version); err != nil {
			return err
		}
		c.Versions = append(c.Versions, s.version)
	}
	if c.DryRun {
		for _, s := range list[len(c.Versions):] {
			c.Versions = append(c.Versions, s.version)
		}
	}
	return nil
}

// errDry ends a transaction that was only to show what it would do.
var errDry = errors.New("dry run")

type changeQuery struct {
	purlQuery
	DryRun bool `query:"dry_run" default:"false" doc:"Only tell what would change."`
}

// change runs fn in one transaction on the package named by the query, and
// throws its work away in a dry run.
func (c *call) change(action policy.Action, dry bool, fn func(tx formats.Tx, p *formats.Package, which purl.Purl, out *Changed) error) (Changed, error) {
	which, err := c.purl()
	if err != nil {
		return Changed{}, err
	}
	at, reg, err := c.registryOf(which.Format)
	if err != nil {
		return Changed{}, err
	}
	var out Changed
	err = reg.Change(c.r.Context(), formats.Change{Package: which.Name, Action: action}, func(tx formats.Tx) error {
		out = Changed{Purl: which.String(), Versions: []string{}, DryRun: dry} // fn may run twice
		p, err := tx.Package()
		if err != nil {
			return err
		}
		if p.Revision == 0 {
			return formats.Refuse(formats.ErrNotFound, notFound)
		}
		if err := fn(tx, p, which, &out); err != nil {
			return err
		}
		if err := settle(at.Mount.Format(), tx, p); err != nil {
			return err
		}
		if dry {
			return errDry
		}
		return tx.Save(p)
	})
	if err != nil && !errors.Is(err, errDry) {
		return Changed{}, hide(err)
	}
	return out, nil
}

// inUse says of a version that others need which they are.
func inUse(version string, err error) error {
	var used *formats.UsedError
	if !errors.As(err, &used) {
		return err
	}
	return formats.Refuse(formats.ErrConflict, version+" is part of other versions: delete them first: "+strings.Join(used.By, ", "))
}

// deletePackage retracts a version, or all of a package. Names and versions
// stay reserved, and the bytes are kept for the restore window.
func (c *call) deletePackage(q changeQuery, _ none) (Changed, error) {
	out, err := c.inParts(func() (Changed, error) { return c.change(policy.Delete, q.DryRun, c.deletePart) })
	slices.Reverse(out.Versions)
	return out, err
}

// deletePart retracts what one transaction has room for, the last published
// first: what uses others came after them.
func (c *call) deletePart(tx formats.Tx, p *formats.Package, which purl.Purl, out *Changed) error {
	if !p.Deleted.IsZero() {
		return formats.Refuse(formats.ErrNotFound, notFound)
	}
	left := 0
	var list []step
	for r, err := range tx.Releases() {
		switch {
		case err != nil:
			return err
		case !r.Retracted.IsZero():
		case which.Version == "" || which.Version == r.Version:
			list = append(list, stepOf(r))
		default:
			left++
		}
	}
	if which.Version != "" && len(list) == 0 {
		return formats.Refuse(formats.ErrNoVersion, which.Name+" has no version "+which.Version)
	}
	slices.Reverse(list)
	err := out.take(list, func(version string) error { return inUse(version, tx.Retract(version)) })
	if err != nil {
		return err
	}
	if left == 0 && !out.more {
		out.Package = true
		clear(p.Tags)
		p.Deleted = c.Clock().UTC()
	}
	return nil
}

// restorePackage brings a version back, or all that went with the package.
func (c *call) restorePackage(q changeQuery, _ none) (Changed, error) {
	return c.inParts(func() (Changed, error) { return c.change(policy.Restore, q.DryRun, restorePart) })
}

// restorePart restores what one transaction has room for, the first published
// first. The package comes back with the last of it.
func restorePart(tx formats.Tx, p *formats.Package, which purl.Purl, out *Changed) error {
	r, ok := tx.(Restorer)
	if !ok {
		return formats.Refuse(formats.ErrUnsupported, "packages of the format "+which.Format+" cannot be restored")
	}
	var list []step
	for rel, err := range tx.Releases() {
		if err != nil {
			return err
		}
		if !rel.Retracted.IsZero() && (which.Version == rel.Version || which.Version == "" && wentWith(rel, p)) {
			list = append(list, stepOf(rel))
		}
	}
	if len(list) == 0 {
		return formats.Refuse(formats.ErrNoVersion, "nothing of "+which.Name+" that was deleted fits: name a deleted version, or a deleted package")
	}
	if err := out.take(list, r.Restore); err != nil {
		return err
	}
	if !out.more {
		out.Package = !p.Deleted.IsZero()
		p.Deleted = time.Time{}
	}
	return nil
}

// inParts goes on until all is done, a transaction for each part: there is no
// end to what a package may hold. A dry run tries the first part alone.
func (c *call) inParts(part func() (Changed, error)) (Changed, error) {
	all, err := part()
	for more := all.more; err == nil && more; {
		var next Changed
		next, err = part()
		more, all.Package = next.more, next.Package
		all.Versions = append(all.Versions, next.Versions...)
	}
	if err != nil {
		return Changed{}, err
	}
	return all, nil
}

// wentWith reports whether a version was retracted by the deletion of its
// package, and not long before it.
func wentWith(r *formats.Release, p *formats.Package) bool {
	return !p.Deleted.IsZero() && p.Deleted.Sub(r.Retracted) < time.Minute
}

// settle puts the tags of the package's own state right: by the format, or where
// it does not care, by dropping those that point at nothing and giving latest to
// what was published last.
func settle(f formats.Format, tx formats.Tx, p *formats.Package) error {
	if s, ok := f.(Settler); ok {
		return s.Settle(tx, p)
	}
	there, last := map[string]bool{}, ""
	for r, err := range tx.Releases() {
		if err != nil {
			return err
		}
		if r.Retracted.IsZero() {
			there[r.Version], last = true, r.Version
		}
	}
	for tag, v := range p.Tags {
		if !there[v] {
			delete(p.Tags, tag)
		}
	}
	if p.Tags["latest"] == "" && last != "" {
		p.Tags["latest"] = last
	}
	return nil
}
