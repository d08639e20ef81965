package admin

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"larder/policy"
)

func TestPeople(t *testing.T) {
	w := newWorld(t)
	var me Caller
	w.get("/api/v1/whoami", w.admin, &me)
	if me.User != "admin" || !me.Admin || len(me.Scopes) != len(policy.AllScopes()) || me.TokenID == "" {
		t.Errorf("%+v", me)
	}
	w.want(201, "POST", "/api/v1/users", w.admin, `{"name":"acme","org":true}`)
	var a Account
	w.get("/api/v1/users/acme", w.bob, &a)
	if a.Kind != "organization" || a.BaseRole != policy.RoleNone {
		t.Errorf("to an outsider: %+v", a)
	}
	w.want(204, "PUT", "/api/v1/orgs/acme/members/bob", w.admin, `{"role":"member"}`)
	for _, token := range []string{w.admin, w.bob} {
		if w.get("/api/v1/users/acme", token, &a); a.BaseRole != policy.RoleRead {
			t.Errorf("to a member: %+v", a)
		}
	}
	w.want(204, "PUT", "/api/v1/orgs/acme/members/bob", w.admin, `{"role":"owner"}`)
	if w.get("/api/v1/users/acme", w.bob, &a); a.BaseRole != policy.RoleRead {
		t.Errorf("to an owner: %+v", a)
	}
	a = Account{}
	w.get("/api/v1/users/bob", w.bob, &a)
	if a.Email != "bob@mail.example" {
		t.Errorf("one's own account: %+v", a)
	}
	var other Account
	w.get("/api/v1/users/admin", w.bob, &other)
	if other.Admin || other.Kind != "user" {
		t.Errorf("another's account: %+v", other)
	}
	w.want(404, "GET", "/api/v1/users/nobody", w.bob, "")

	w.want(204, "POST", "/api/v1/users/bob/suspend", w.admin, "")
	w.want(401, "GET", "/api/v1/whoami", w.bob, "")
	w.want(204, "POST", "/api/v1/users/bob/resume", w.admin, "")
	w.want(200, "GET", "/api/v1/whoami", w.bob, "")
	w.want(409, "POST", "/api/v1/users/admin/suspend", w.admin, "")
	w.want(404, "POST", "/api/v1/users/nobody/suspend", w.admin, "")
}

func TestOrganization(t *testing.T) {
	w := newWorld(t)
	w.want(201, "POST", "/api/v1/users", w.admin, `{"name":"acme","org":true}`)
	w.want(404, "GET", "/api/v1/repos/acme/packages", w.bob, "")
	w.want(204, "PUT", "/api/v1/orgs/acme/members/bob", w.admin, `{"role":"member"}`)
	var r Repository
	w.get("/api/v1/repos/acme/packages", w.bob, &r)
	if r.Name != "acme/packages" || r.Visibility != policy.Private || r.Role != policy.RoleRead {
		t.Errorf("%+v", r)
	}
	w.want(204, "PATCH", "/api/v1/orgs/acme", w.admin, `{"base_role":"none"}`)
	w.want(404, "GET", "/api/v1/repos/acme/packages", w.bob, "")
	w.want(400, "PATCH", "/api/v1/orgs/acme", w.admin, `{}`)
	w.want(400, "PATCH", "/api/v1/orgs/acme", w.admin, `{"base_role":"boss"}`)
	w.want(400, "PUT", "/api/v1/orgs/acme/members/bob", w.admin, `{}`)
	w.want(400, "PUT", "/api/v1/orgs/acme/members/bob", w.admin, `{"role":"boss"}`)
	w.want(403, "PUT", "/api/v1/orgs/acme/members/bob", w.bob, `{"role":"owner"}`)
	w.want(204, "DELETE", "/api/v1/orgs/acme/members/bob", w.admin, "")
	w.want(409, "DELETE", "/api/v1/orgs/acme/members/admin", w.admin, "")
}

func TestRepositories(t *testing.T) {
	w := newWorld(t)
	w.want(201, "POST", "/api/v1/users", w.admin, `{"name":"acme","org":true}`)
	text := w.want(201, "POST", "/api/v1/repos", w.admin, `{"name":"acme/tools"}`)
	var r Repository
	w.must(json.Unmarshal([]byte(text), &r))
	if r.Visibility != policy.Private {
		t.Errorf("without a word a repository is %s", r.Visibility)
	}
	w.want(409, "POST", "/api/v1/repos", w.admin, `{"name":"acme/tools"}`)
	w.want(400, "POST", "/api/v1/repos", w.admin, `{"name":"acme/more","visibility":"secret"}`)
	w.want(403, "POST", "/api/v1/repos", w.bob, `{"name":"acme/more"}`)

	// What may not be read and what does not exist are the same.
	hidden, missing := w.want(404, "GET", "/api/v1/repos/acme/tools", w.bob, ""), w.want(404, "GET", "/api/v1/repos/acme/none", w.bob, "")
	if id := `"request_id":`; strings.Split(hidden, id)[0] != strings.Split(missing, id)[0] {
		t.Errorf("%s\n%s", hidden, missing)
	}
	w.want(204, "PUT", "/api/v1/repos/acme/tools/grants/bob", w.admin, `{"role":"write"}`)
	w.get("/api/v1/repos/acme/tools", w.bob, &r)
	if r.Role != policy.RoleWrite {
		t.Errorf("%+v", r)
	}
	w.want(403, "PUT", "/api/v1/repos/acme/tools/grants/bob", w.bob, `{"role":"admin"}`)
	w.want(400, "PUT", "/api/v1/repos/acme/tools/grants/bob", w.admin, `{}`)
	w.want(404, "PUT", "/api/v1/repos/acme/tools/grants/nobody", w.admin, `{"role":"read"}`)
	w.want(204, "DELETE", "/api/v1/repos/acme/tools/grants/bob", w.admin, "")
	w.want(404, "GET", "/api/v1/repos/acme/tools", w.bob, "")

	w.want(204, "PATCH", "/api/v1/repos/acme/tools", w.admin, `{"visibility":"public"}`)
	w.want(200, "GET", "/api/v1/repos/acme/tools", "", "")
	w.want(409, "PATCH", "/api/v1/repos/acme/tools", w.admin, `{"visibility":"private"}`)
	w.want(400, "PATCH", "/api/v1/repos/acme/tools", w.admin, `{"visibility":""}`)
	w.want(400, "PATCH", "/api/v1/repos/acme/tools", w.admin, `{}`)
	w.want(400, "PATCH", "/api/v1/repos/acme/tools", w.admin, `{"immutable_tags":["a/b"]}`)
	w.want(204, "PATCH", "/api/v1/repos/acme/tools", w.admin, `{"immutable_tags":["v*"]}`)
	if text := w.want(200, "GET", "/api/v1/repos/acme/tools", w.admin, ""); !strings.Contains(text, `"immutable_tags":["v*"]`) {
		t.Errorf("the repository is %s", text)
	}
	w.want(204, "PATCH", "/api/v1/repos/acme/tools", w.admin, `{"immutable_tags":[]}`)
	w.want(204, "PATCH", "/api/v1/repos/acme/tools", w.admin, `{"sparse_indexes":true}`)
	if text := w.want(200, "GET", "/api/v1/repos/acme/tools", w.admin, ""); strings.Contains(text, "immutable_tags") {
		t.Errorf("the repository is %s", text)
	}
}

func TestClaims(t *testing.T) {
	w := newWorld(t)
	var list ClaimList
	if w.get("/api/v1/claims", w.admin, &list); list.Claims == nil || len(list.Claims) != 0 {
		t.Errorf("%+v", list)
	}
	text := w.want(201, "POST", "/api/v1/claims", w.admin, `{"formats":["npm"],"match":["@acme/**"],"repository":"admin/packages"}`)
	var made policy.Claim
	w.must(json.Unmarshal([]byte(text), &made))
	if w.get("/api/v1/claims", w.admin, &list); len(list.Claims) != 1 || list.Claims[0].ID != made.ID || made.ID == "" {
		t.Errorf("%+v", list)
	}
	w.want(409, "POST", "/api/v1/claims", w.admin, `{"formats":["npm"],"match":["@acme/**"],"repository":"admin/packages"}`)
	w.want(400, "POST", "/api/v1/claims", w.admin, `{"formats":["nmp"],"match":["x"],"repository":"admin/packages"}`)
	w.want(404, "POST", "/api/v1/claims", w.admin, `{"match":["x"],"repository":"admin/none"}`)
	w.want(204, "DELETE", "/api/v1/claims/"+made.ID, w.admin, "")
	w.want(404, "DELETE", "/api/v1/claims/"+made.ID, w.admin, "")
}

func TestTokens(t *testing.T) {
	w := newWorld(t)
	text := w.want(201, "POST", "/api/v1/tokens", w.bob, `{"name":"ci","scopes":["read:packages"],"expires_in":3600,"limits":{"formats":["npm"]}}`)
	var made MadeToken
	w.must(json.Unmarshal([]byte(text), &made))
	if made.User != "bob" || made.Expires.Sub(w.Now()) != time.Hour || !strings.HasPrefix(made.Secret, made.Prefix) || len(made.Limits.Formats) != 1 {
		t.Errorf("%+v", made)
	}
	list := w.want(200, "GET", "/api/v1/tokens", w.bob, "")
	if strings.Contains(list, made.Secret) || !strings.Contains(list, made.ID) {
		t.Errorf("the list: %s", list)
	}
	w.want(200, "GET", "/api/v1/tokens?user=bob", w.admin, "")
	w.want(404, "GET", "/api/v1/tokens?user=admin", w.bob, "")
	w.want(403, "POST", "/api/v1/tokens", w.bob, `{"user":"admin","scopes":["read:packages"]}`)
	w.want(403, "POST", "/api/v1/tokens", w.bob, `{"scopes":["admin:instance"]}`)
	w.want(400, "POST", "/api/v1/tokens", w.bob, `{"scopes":["admin"]}`)
	w.want(400, "POST", "/api/v1/tokens", w.bob, `{"scopes":["read:packages"],"expires_in":-1}`)
	w.want(400, "POST", "/api/v1/tokens", w.bob, `{"scopes":["read:packages"],"expires_in":9223372036854775807}`)
	w.want(400, "POST", "/api/v1/tokens", w.admin, `{"scopes":["read:packages"],"expires_in":5,"forever":true}`)
	w.want(403, "POST", "/api/v1/tokens", w.bob, `{"scopes":["read:packages"],"forever":true}`)

	var admins TokenList
	w.get("/api/v1/tokens", w.admin, &admins)
	w.want(404, "DELETE", "/api/v1/tokens/"+admins.Tokens[0].ID, w.bob, "")
	w.want(404, "DELETE", "/api/v1/tokens/nothing", w.bob, "")
	w.want(204, "DELETE", "/api/v1/tokens/"+made.ID, w.bob, "")
	w.want(401, "GET", "/api/v1/whoami", made.Secret, "")
}
