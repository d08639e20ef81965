package npm_test

import (
	"errors"
	"testing"

	"larder/formats"
	"larder/formats/npm"
	"larder/policy"
	"larder/proxy/registry"
)

// detach gives a package grants of its own, of which the first ones are those.
func (w *world) detach(name string, grants map[string]policy.Role) {
	w.T.Helper()
	ctx := w.T.Context()
	mount := w.Engine.Registry(registry.Spec{Name: "npm", Format: npm.New(w.opt), Hosted: true})
	res, err := mount.Resource(ctx, "", formats.Request{Package: name, Action: policy.Settings})
	w.Must(err)
	change := formats.Change{Package: name, Action: policy.Settings, Into: res.Repository}
	w.Must(mount.For(w.Admin, "", "").Change(ctx, change, func(tx formats.Tx) error {
		m, ok := tx.(formats.Mover)
		if !ok {
			return errors.New("the engine moves nothing")
		}
		if err := m.Move(false); err != nil {
			return err
		}
		p, err := tx.Package()
		if err != nil {
			return err
		}
		return tx.Save(p)
	}))
	res, err = mount.Resource(ctx, "", formats.Request{Package: name, Action: policy.Settings})
	w.Must(err)
	for user, role := range grants {
		w.Must(w.Directory.SetMember(ctx, w.Admin, "acme", user, "member"))
		w.Must(w.Directory.GrantPackage(ctx, w.Admin, res, user, role))
	}
}

// Whoever has a role in the repository only cannot tell a package with grants of
// its own from one that is not there, whatever is asked.
func TestOwnGrantsHide(t *testing.T) {
	w := newWorld(t)
	w.publish("wim", "@acme/aaa", "1.0.0")
	w.want(200, "PUT /@acme%2faaa", "wim", `{"_id":"@acme/aaa","users":{"wim":true}}`, "npm-command: star")
	w.want(200, "GET /@acme%2faaa", "rita", "") // documents are in memory
	w.detach("@acme/aaa", map[string]policy.Role{"bob": policy.RoleWrite})
	for _, who := range []string{"rita", "wim"} {
		for _, c := range reading() {
			w.alike(c, who, [2]string{"@acme/aaa", "@acme/bbb"})
		}
	}
}

// What one may do with such a package follows from its own grants by every
// command there is.
func TestOwnGrantsOfCommands(t *testing.T) {
	w := newWorld(t)
	w.publish("wim", "@acme/one", "1.0.0")
	w.detach("@acme/one", map[string]policy.Role{"bob": policy.RoleWrite})
	command := func(word string) []string { return []string{"npm-command: " + word} }
	rev := func(who string) string { return "/@acme%2fone/-rev/" + w.rev("@acme/one", who) }
	const owners = `{"_id":"@acme/one","maintainers":[{"name":"bob","email":"b@mail.example"}]}`
	const stale = `{"_id":"@acme/one","name":"@acme/one","versions":{"1.0.0":{"deprecated":"old"}}}`
	for _, c := range []struct{ who, sees, writes string }{{"wim", "", "no"}, {"rita", "", "no"}, {"bob", `"@acme/one":"write"`, "yes"}, {"olga", `"@acme/one":"write"`, "yes"}} {
		read, write := 404, 403
		if c.writes == "yes" {
			read, write = 200, 201
		}
		lacks := []string{"@acme/one"}
		if c.sees != "" {
			lacks = nil
		}
		w.run([]call{
			{name: "view", method: "GET", path: "/@acme%2fone", who: c.who, status: read},
			{name: "install", method: "GET", path: file("@acme/one", "1.0.0"), who: c.who, status: read},
			{name: "search", method: "GET", path: "/-/v1/search?text=one", who: c.who, status: 200, lacks: lacks},
			{name: "list packages", method: "GET", path: "/-/org/acme/package", who: c.who, status: 200, has: []string{c.sees}, lacks: lacks},
			{name: "publish", method: "PUT", path: "/@acme%2fone", who: c.who, status: write, body: body(t, "@acme/one", "2.0.0-"+c.who)},
			{name: "deprecate", method: "PUT", path: "/@acme%2fone", who: c.who, status: write, header: command("deprecate"), body: stale},
			{name: "tag", method: "PUT", path: "/-/package/@acme%2fone/dist-tags/next", who: c.who, status: write, body: `"1.0.0"`},
		})
	}
	w.run([]call{
		{name: "owner by a writer", method: "PUT", path: rev("bob"), who: "bob", status: 403, header: command("owner"), body: owners},
		{name: "access by a writer", method: "POST", path: "/-/package/@acme%2fone/access", who: "bob", status: 403, body: `{"access":"public"}`},
		{name: "unpublish by a writer", method: "DELETE", path: rev("bob"), who: "bob", status: 403, header: command("unpublish")},
		{name: "owner by an owner", method: "PUT", path: rev("olga"), who: "olga", status: 201, header: command("owner"), body: owners},
		{name: "who may what", method: "GET", path: "/-/package/@acme%2fone/collaborators", who: "bob", status: 200, has: []string{`{"bob":"write"}`}},
		{name: "access by an owner", method: "POST", path: "/-/package/@acme%2fone/access", who: "olga", status: 200, body: `{"access":"public"}`},
		{name: "now everybody reads", method: "GET", path: "/@acme%2fone", status: 200},
		{name: "and writes no more than before", method: "PUT", path: "/@acme%2fone", who: "wim", status: 403, body: body(t, "@acme/one", "3.0.0")},
	})
}
