package registry

import (
	"strconv"
	"strings"
	"time"

	"larder/formats"
	"larder/policy/audit"
)

// maxDeeds is how many versions one change is recorded by one; beyond, they are
// counted. The records would pass what a transaction may write, and the journal
// names each version anyway.
const maxDeeds = 50

// deed is what a change did to one version or tag.
type deed struct {
	action        string
	on            audit.Resource
	before, after audit.State
}

func (t *tx) did(action string, r *formats.Release) {
	d := deed{action: action, on: audit.Resource{Format: t.format, Repository: t.home, Package: t.name, Version: r.Version}}
	if len(r.Files) == 1 {
		d.on.File, d.on.Digest = r.Files[0].Name, r.Files[0].Blob.Digest.String()
	}
	t.done = append(t.done, d)
}

// record appends what the change did to the audit log. What tags moved follows
// from the versions, where one came or went; who may read never does.
func (t *tx) record() error {
	if err := t.recordDeeds(); err != nil {
		return err
	}
	before, after := accessDifferences(&t.was, &t.head.Package)
	if !t.versionsMoved() {
		tagDifferences(before, after, &t.was, &t.head.Package)
	}
	if !t.saved || len(t.done) > 0 && len(before)+len(after) == 0 {
		return nil
	}
	return t.append(audit.Record{
		Action: "package.change", Before: before, After: after,
		Resource: audit.Resource{Format: t.format, Repository: t.home, Package: t.name},
	})
}

func (t *tx) recordDeeds() error {
	count := map[string]int{}
	for _, d := range t.done {
		count[d.action]++
	}
	for _, d := range t.done {
		r := audit.Record{Action: d.action, Resource: d.on, Before: d.before, After: d.after}
		if n := count[d.action]; n > maxDeeds {
			r.Before, r.After = nil, audit.State{d.thing() + "s": strconv.Itoa(n)}
			r.Resource.Version, r.Resource.File, r.Resource.Digest, r.Resource.ID = "", "", "", ""
			count[d.action] = 0
		} else if n == 0 {
			continue
		}
		if err := t.append(r); err != nil {
			return err
		}
	}
	return nil
}

// thing is what a deed is done to.
func (d deed) thing() string {
	if strings.HasPrefix(d.action, "tag.") {
		return "tag"
	}
	return "version"
}

func (t *tx) versionsMoved() bool {
	for _, d := range t.done {
		if d.action != "package.amend" && d.thing() == "version" {
			return true
		}
	}
	return false
}

func (t *tx) append(r audit.Record) error {
	r.Decision, r.Actor = audit.Allow, audit.ActorOf(t.actor)
	if t.upkeep != "" {
		r.Actor, r.Reason.Sentence = audit.Actor{Kind: audit.System}, t.upkeep
	}
	return audit.Chain{Clock: func() time.Time { return t.now }}.Append(t.ctx, t.w, r)
}

// note puts a field into both states, where a change moved it.
func note(before, after audit.State, name, was, is string) {
	if was == is {
		return
	}
	if was != "" {
		before[name] = was
	}
	if is != "" {
		after[name] = is
	}
}

// accessDifferences are the fields that say who may do what, where a change
// moved them. The package's metadata is the format's own, and not told.
func accessDifferences(old, changed *formats.Package) (before, after audit.State) {
	before, after = audit.State{}, audit.State{}
	note(before, after, "visibility", string(old.Visibility), string(changed.Visibility))
	note(before, after, "repository", old.Repository, changed.Repository)
	note(before, after, "access", accessState(old), accessState(changed))
	return before, after
}

// accessState says whose grants count for a package. Of its own they have an id,
// which tells grants recorded before a change from those after it.
func accessState(p *formats.Package) string {
	if p.Access == "" {
		return "repository"
	}
	return "own " + p.Access
}

func tagDifferences(before, after audit.State, old, changed *formats.Package) {
	for tag, version := range old.Tags {
		note(before, after, "tag "+tag, version, changed.Tags[tag])
	}
	for tag, version := range changed.Tags {
		note(before, after, "tag "+tag, old.Tags[tag], version)
	}
}
