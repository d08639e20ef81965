package npm_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"larder/cache/badger"
	"larder/formats"
	"larder/policy"
)

// durable puts a world on the index of a node, whose transactions have an end.
func durable(w *world) {
	index, err := badger.Open(filepath.Join(w.T.TempDir(), "index"), badger.Options{})
	w.Must(err)
	w.T.Cleanup(func() { w.Must(index.Close()) })
	w.Index = index
}

// many publishes 1.0.0, and so many more versions behind its back.
func (w *world) many(name string, n int) (versions []string) {
	w.T.Helper()
	w.publish("admin", name, "1.0.0")
	versions = append(versions, "1.0.0")
	for len(versions) < n {
		from := len(versions)
		err := w.mount.For(w.Subject("admin"), "", "").Change(w.T.Context(), formats.Change{Package: name, Action: policy.Publish}, func(tx formats.Tx) error {
			versions = versions[:from]
			first, err := tx.Release("1.0.0")
			if err != nil {
				return err
			}
			for range min(100, n-from) {
				r := *first
				r.Version = fmt.Sprintf("1.0.%d", len(versions))
				r.Meta = []byte(strings.ReplaceAll(string(first.Meta), "1.0.0", r.Version))
				r.Files = []formats.ReleaseFile{first.Files[0]}
				r.Files[0].Name = strings.ReplaceAll(first.Files[0].Name, "1.0.0", r.Version)
				if err := tx.Add(&r); err != nil {
					return err
				}
				versions = append(versions, r.Version)
			}
			p, err := tx.Package()
			if err != nil {
				return err
			}
			return tx.Save(p)
		})
		w.Must(err)
	}
	return versions
}

// living counts the versions that were not retracted.
func (w *world) living(name string) (n int) {
	w.T.Helper()
	err := w.mount.For(w.Subject("admin"), "", "").Change(w.T.Context(), formats.Change{Package: name, Action: policy.Delete}, func(tx formats.Tx) error {
		n = 0
		for r, err := range tx.Releases() {
			if err != nil {
				return err
			}
			if r.Retracted.IsZero() {
				n++
			}
		}
		return errCounted
	})
	if !strings.Contains(fmt.Sprint(err), errCounted.Error()) {
		w.T.Fatal(err)
	}
	return n
}

var errCounted = errors.New("counted")

// TestUnpublishMany: a package of more versions than a transaction has room for goes
// as a whole, and so do most of its versions.
func TestUnpublishMany(t *testing.T) {
	w := newWorld(t, durable)
	versions := w.many("large", 3000)
	w.want(201, "PUT /large/-rev/"+w.rev("large", "admin"), "admin", remaining("large", `{"latest":"1.0.1"}`, versions[1:200]...), "npm-command: unpublish")
	if n := w.living("large"); n != 199 {
		t.Errorf("%d versions are left, want 199", n)
	}
	w.run([]call{
		{name: "what stays", method: "GET", path: file("large", "1.0.199"), status: 200},
		{name: "what went", method: "GET", path: file("large", "1.0.200"), status: 404},
		{name: "what went last", method: "GET", path: file("large", "1.0.2999"), status: 404},
		{name: "the tag that was proposed", method: "GET", path: "/-/package/large/dist-tags", status: 200, has: []string{`{"latest":"1.0.1"}`}},
	})
	w.many("whole", 3000)
	w.want(200, "DELETE /whole/-rev/"+w.rev("whole", "admin"), "admin", "")
	if n := w.living("whole"); n != 0 {
		t.Errorf("%d versions are left", n)
	}
	w.run([]call{
		{name: "the package", method: "GET", path: "/whole", who: "admin", status: 404},
		{name: "a version", method: "GET", path: file("whole", "1.0.2999"), status: 404},
		{name: "never again", method: "PUT", path: "/whole", who: "admin", body: body(t, "whole", "1.0.0"), status: 409},
	})
}

// TestUnpublishBrokenOff: a package whose deletion ended in the middle is not seen,
// takes nothing new until it is whole, and goes on with the next try.
func TestUnpublishBrokenOff(t *testing.T) {
	w := newWorld(t)
	w.many("half", 10)
	err := w.mount.For(w.Subject("admin"), "", "").Change(t.Context(), formats.Change{Package: "half", Action: policy.Delete}, func(tx formats.Tx) error {
		if err := tx.Retract("1.0.3"); err != nil {
			return err
		}
		p, err := tx.Package()
		if err != nil {
			return err
		}
		p.Deleted = time.Now()
		return tx.Save(p)
	})
	w.Must(err)
	w.run([]call{
		{name: "not seen", method: "GET", path: "/half", who: "admin", status: 404},
		{name: "nor its versions", method: "GET", path: file("half", "1.0.1"), status: 404},
		{name: "takes nothing", method: "PUT", path: "/half", who: "admin", body: body(t, "half", "2.0.0"), status: 409, has: []string{"npm unpublish"}},
		{name: "goes on", method: "DELETE", path: "/half/-rev/1-larder", who: "admin", status: 200},
	})
	if n := w.living("half"); n != 0 {
		t.Errorf("%d versions are left", n)
	}
	w.want(201, "PUT /half", "admin", body(t, "half", "2.0.0"))
	w.run([]call{{name: "only what is new", method: "GET", path: "/half", status: 200, has: []string{"2.0.0"}, lacks: []string{"1.0.1"}}})
}

// TestDeprecateMany: as npm deprecate of all versions does.
func TestDeprecateMany(t *testing.T) {
	w := newWorld(t, durable)
	versions := w.many("large", 3000)
	var all strings.Builder
	for i, v := range versions {
		if i > 0 {
			all.WriteByte(',')
		}
		fmt.Fprintf(&all, `%q:{"name":"large","version":%q,"deprecated":"old"}`, v, v)
	}
	w.want(201, "PUT /large", "admin", `{"_id":"large","name":"large","versions":{`+all.String()+`}}`)
	text := w.want(200, "GET /large", "", "").text()
	if n := strings.Count(text, `"deprecated":"old"`); n != len(versions) {
		t.Errorf("%d versions are deprecated, want %d", n, len(versions))
	}
}
