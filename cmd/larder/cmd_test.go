package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"larder/cache"
	"larder/proxy/admin"
)

// TestCmdCalls holds what each command asks of the server, and prints.
func TestCmdCalls(t *testing.T) {
	const token = `201 {"id":"i1","user":"bob","scopes":["read:packages"],"expires_at":"2027-01-31T12:00:00Z","token":"ldrp_new"}`
	for line, c := range map[string]struct{ call, answer, stdout, stderr string }{
		"user create bob":                              {`POST /api/v1/users {"name":"bob"}`, `201 {"name":"bob","kind":"user"}`, "", "created the user bob and its private repository bob/packages\n"},
		"user create bob --quiet":                      {`POST /api/v1/users {"name":"bob"}`, `201 {"name":"bob","kind":"user"}`, "", ""},
		"user create acme --org":                       {`POST /api/v1/users {"name":"acme","org":true}`, `201 {"name":"acme","kind":"organization"}`, "", "created the organization acme and its private repository acme/packages\n"},
		"user suspend bob":                             {"POST /api/v1/users/bob/suspend", "204 ", "", "done: suspend bob\n"},
		"user resume a/b":                              {"POST /api/v1/users/a%2Fb/resume", "204 ", "", "done: resume a/b\n"},
		"org set acme --base-role write":               {`PATCH /api/v1/orgs/acme {"base_role":"write"}`, "204 ", "", "acme: members have the role write in its repositories\n"},
		"org set acme --visibilities private,internal": {`PATCH /api/v1/orgs/acme {"visibilities":["private","internal"]}`, "204 ", "", "acme: its owners alone make something other than private or internal\n"},
		"org show acme":                                {"GET /api/v1/users/acme", `200 {"name":"acme","kind":"organization","base_role":"read","visibilities":["internal","private"]}`, "NAME  KIND          BASE ROLE  VISIBILITIES      CREATED\nacme  organization  read       internal private  -\n", ""},
		"org members acme":                             {"GET /api/v1/orgs/acme/members?limit=1000", `200 {"members":[{"user":"bob","role":"owner"}]}`, "USER  ROLE\nbob   owner\n", ""},
		"user list":                                    {"GET /api/v1/users?limit=1000", `200 {"users":[{"name":"bob","kind":"user","admin":true},{"name":"cid","kind":"user","suspended":true}]}`, "NAME  KIND  EMAIL  STATE      CREATED\nbob   user         admin      -\ncid   user         suspended  -\n", ""},
		"team create acme/core":                        {"PUT /api/v1/orgs/acme/teams/core", "201 {}", "", "created the team acme/core\n"},
		"team delete acme/@core":                       {"DELETE /api/v1/orgs/acme/teams/core", "204 ", "", "deleted the team acme/@core\n"},
		"team add acme/core bob":                       {"PUT /api/v1/orgs/acme/teams/core/members/bob", "204 ", "", "bob is in the team acme/core\n"},
		"team remove acme/core bob":                    {"DELETE /api/v1/orgs/acme/teams/core/members/bob", "204 ", "", "bob is not in the team acme/core\n"},
		"team list acme":                               {"GET /api/v1/orgs/acme/teams?limit=1000", `200 {"teams":[{"name":"core"}]}`, "TEAM  CREATED\ncore  -\n", ""},
		"team members acme/core":                       {"GET /api/v1/orgs/acme/teams/core/members?limit=1000", `200 {"members":[{"user":"bob"}]}`, "USER\nbob\n", ""},
		"repo list --owner a":                          {"GET /api/v1/repos?limit=1000&owner=a", `200 {"repositories":[{"name":"a/b","visibility":"public","role":"write"}]}`, "NAME  VISIBILITY  YOUR ROLE  CREATED\na/b   public      write      -\n", ""},
		"repo grants a/b":                              {"GET /api/v1/repos/a/b/grants?limit=1000", `200 {"grants":[{"user":"bob","role":"read"},{"team":"core","role":"write"}]}`, "USER OR TEAM  ROLE\nbob           read\n@core         write\n", ""},
		"grant a/b @core write":                        {`PUT /api/v1/repos/a/b/teams/core {"role":"write"}`, "204 ", "", "a/b: @core write\n"},
		"grant a/b @core none":                         {"DELETE /api/v1/repos/a/b/teams/core", "204 ", "", "a/b: @core none\n"},
		"grant pkg:npm/@a/b bob read":                  {`PUT /api/v1/package/grants/users/bob?purl=pkg%3Anpm%2F%2540a%2Fb {"role":"read"}`, "204 ", "", "pkg:npm/@a/b: bob read\n"},
		"grant pkg:npm/b @core none":                   {"DELETE /api/v1/package/grants/teams/core?purl=pkg%3Anpm%2Fb", "204 ", "", "pkg:npm/b: @core none\n"},
		"pkg move npm/b a/c":                           {`PUT /api/v1/package/repository?purl=pkg%3Anpm%2Fb {"repository":"a/c"}`, "204 ", "", "pkg:npm/b is in a/c\n"},
		"pkg access npm/b own":                         {`PUT /api/v1/package/repository?purl=pkg%3Anpm%2Fb {"inherit_access":false}`, "204 ", "", "pkg:npm/b has grants of its own: see larder pkg grants pkg:npm/b\n"},
		"pkg access npm/b inherit":                     {`PUT /api/v1/package/repository?purl=pkg%3Anpm%2Fb {"inherit_access":true}`, "204 ", "", "the grants of its repository count for pkg:npm/b\n"},
		"pkg set npm/b --visibility public":            {`PUT /api/v1/package/visibility?purl=pkg%3Anpm%2Fb {"visibility":"public"}`, "204 ", "", "pkg:npm/b is public now\n"},
		"pkg grants npm/b":                             {"GET /api/v1/package/grants?limit=1000&purl=pkg%3Anpm%2Fb", `200 {"grants":[{"team":"core","role":"admin"}]}`, "USER OR TEAM  ROLE\n@core         admin\n", ""},

		"repo create a/b":                  {`POST /api/v1/repos {"name":"a/b","visibility":"private"}`, `201 {"name":"a/b","visibility":"private"}`, "", "created the private repository a/b\n"},
		"repo set a/b --visibility public": {`PATCH /api/v1/repos/a/b {"visibility":"public"}`, "204 ", "", "a/b is public now\n"},
		"repo show a/b":                    {"GET /api/v1/repos/a/b", `200 {"name":"a/b","visibility":"public","role":"write"}`, "NAME  VISIBILITY  YOUR ROLE  CREATED  IMMUTABLE TAGS  SPARSE INDEXES\na/b   public      write      -        none            no\n", ""},
		"repo set a/b --immutable-tags v*,1.* --visibility public": {`PATCH /api/v1/repos/a/b {"visibility":"public","immutable_tags":["v*","1.*"]}`, "204 ", "", "a/b is public now and keeps the tags v*, 1.* where they are\n"},
		"repo set a/b --sparse-indexes":                            {`PATCH /api/v1/repos/a/b {"sparse_indexes":true}`, "204 ", "", "a/b takes image indexes without some of what they name\n"},
		"repo set a/b --sparse-indexes=false":                      {`PATCH /api/v1/repos/a/b {"sparse_indexes":false}`, "204 ", "", "a/b takes image indexes with all that they name\n"},
		"repo set a/b --immutable-tags=":                           {`PATCH /api/v1/repos/a/b {"immutable_tags":[]}`, "204 ", "", "a/b lets all tags move\n"},
		"grant acme bob owner":                                     {`PUT /api/v1/orgs/acme/members/bob {"role":"owner"}`, "204 ", "", "acme: bob owner\n"},
		"grant acme bob none":                                      {"DELETE /api/v1/orgs/acme/members/bob", "204 ", "", "acme: bob none\n"},
		"grant a/b bob write":                                      {`PUT /api/v1/repos/a/b/grants/bob {"role":"write"}`, "204 ", "", "a/b: bob write\n"},
		"grant a/b bob none":                                       {"DELETE /api/v1/repos/a/b/grants/bob", "204 ", "", "a/b: bob none\n"},
		"claim add npm @a/** a/b":                                  {`POST /api/v1/claims {"formats":["npm"],"match":["@a/**"],"repository":"a/b"}`, `201 {"id":"x","repository":"a/b"}`, "", "claim x: @a/** belongs to a/b, and is not asked upstream\n"},
		"claim list":                                               {"GET /api/v1/claims?limit=1000", `200 {"claims":[{"id":"x","match":["y","z"],"repository":"a/b"}]}`, "ID  FORMATS  MATCH  REPOSITORY\nx   all      y z    a/b\n", ""},
		"claim remove x":                                           {"DELETE /api/v1/claims/x", "204 ", "", "removed the claim x\n"},
		"token create --user bob --scopes read:packages --expires 24h":                {`POST /api/v1/tokens {"user":"bob","scopes":["read:packages"],"expires_in":86400}`, token, "ldrp_new\n", "token i1 of bob expires 2027-01-31 12:00 UTC\n"},
		"token create --scopes read:packages --owners a,b --cidrs 10.0.0.0/8 --quiet": {`POST /api/v1/tokens {"scopes":["read:packages"],"limits":{"owners":["a","b"],"cidrs":["10.0.0.0/8"]}}`, token, "ldrp_new\n", ""},
		"token create --scopes read:packages --never-expires --json --quiet": {`POST /api/v1/tokens {"scopes":["read:packages"],"forever":true}`, `201 {"id":"i1","user":"bob","scopes":["read:packages"],"token":"ldrp_new"}`,
			"{\n  \"id\": \"i1\",\n  \"token\": \"ldrp_new\",\n  \"user\": \"bob\",\n  \"scopes\": [\n    \"read:packages\"\n  ],\n  \"expires_at\": null\n}\n", ""},
		"token list --user bob": {"GET /api/v1/tokens?limit=1000&user=bob", `200 {"tokens":[{"id":"i1","prefix":"ldrp_abcd","last4":"wxyz","scopes":["repo"]}]}`, "ID  NAME  TOKEN             SCOPES  EXPIRES  LAST USED\ni1        ldrp_abcd...wxyz  repo    never    -\n", ""},
		"token revoke i1":       {"DELETE /api/v1/tokens/i1", "204 ", "", "revoked the token i1\n"},
		"whoami":                {"GET /api/v1/whoami", `200 {"user":"bob","scopes":["repo"]}`, "bob\n", "with the scopes repo\n"},
		"healthcheck":           {"GET /readyz", `200 {"status":"ready"}`, "ready\n", ""},
		"upstream list":         {"GET /api/v1/upstreams", `200 {"upstreams":[{"id":"far","format":"npm","state":"ok"}]}`, "ID   FORMAT  STATE  ADDRESS  FROM  LAST SUCCESS\nfar  npm     ok                    -\n", ""},
		"why npm/new": {"GET /api/v1/policy/explain?purl=pkg%3Anpm%2Fnew&registry=", `200 {"purl":"pkg:npm/new","registry":"npm","caller":"bob","read":{"allowed":true},"publish":{"allowed":true,"reason":"unless it rains"}}`,
			"package:   pkg:npm/new\nregistry:  npm\ncaller:    bob\nread:      allowed\npublish:   allowed, unless it rains\n", ""},
		"why npm/left": {"GET /api/v1/policy/explain?purl=pkg%3Anpm%2Fleft&registry=", `200 {"purl":"pkg:npm/left","registry":"npm","source":"upstream","upstreams":["far"],"read":{"allowed":true},"publish":{"allowed":false,"reason":"no"}}`,
			"package:     pkg:npm/left\nregistry:    npm\ncaller:      nobody (no token)\ncomes from:  upstream far\nread:        allowed\npublish:     refused: no\n", ""},
		"pkg show pkg:npm/tool@1.0.0": {"GET /api/v1/package?purl=pkg%3Anpm%2Ftool%401.0.0", `200 {"purl":"pkg:npm/tool","repository":"a/b","visibility":"public","inherit_access":true,"tags":{"latest":"1.0.0"},"versions":[{"version":"1.0.0","publisher":"bob","files":[{"size":3},{"size":4}]}]}`,
			"pkg:npm/tool  a/b  public\n\nVERSION  PUBLISHED  BY   BYTES  TAGS\n1.0.0    -          bob  7      latest\n", ""},
		"pkg delete npm/tool --yes": {"DELETE /api/v1/package?dry_run=false&purl=pkg%3Anpm%2Ftool", `200 {"versions":["1.0.0"],"package":true}`, "pkg:npm/tool@1.0.0\npkg:npm/tool\n", ""},
		"pkg delete npm/tool":       {"DELETE /api/v1/package?dry_run=true&purl=pkg%3Anpm%2Ftool", `200 {"versions":["1.0.0"],"package":true}`, "pkg:npm/tool@1.0.0\npkg:npm/tool\n", "nothing was changed: add --yes to do it\n"},
		"pkg restore npm/tool@1":    {"POST /api/v1/package/restore?dry_run=false&purl=pkg%3Anpm%2Ftool%401", `200 {"versions":["1"]}`, "pkg:npm/tool@1\n", ""},
		"cache gc --dry-run":        {"POST /api/v1/gc?dry_run=true", "200 {\"progress\":{\"done\":1}}\n{\"collection\":{\"blobs\":2,\"bytes\":3},\"retention\":{\"versions\":2,\"named\":[\"a/b sha256:0\"]}}", "would delete a/b sha256:0: no tag keeps it\nwould delete 1 more that have no tag\nwould delete 2 blobs, 3 bytes (0 of them without a record); 0 leases ended\n", ""},
		"verify --repair":           {"POST /api/v1/verify?repair=true", "200 {\"progress\":{\"done\":1}}\n{\"verification\":{\"blobs\":2,\"bytes\":3,\"cached_damaged\":1,\"repaired\":1,\"findings\":[\"x is damaged\"]}}", "2 blobs, 3 bytes: 0 hosted and 1 cached damaged, 1 repaired\n", "x is damaged\n"},
	} {
		t.Run(line, func(t *testing.T) {
			method, rest, _ := strings.Cut(c.call, " ")
			path, _, _ := strings.Cut(rest, " ")
			f := newAPI(t, map[string]string{method + " " + path: c.answer})
			stdout, stderr, err := larder(t, "", strings.Fields(line)...)
			if err != nil || stdout != c.stdout || !strings.HasSuffix(stderr, c.stderr) || c.stderr == "" && stderr != "" {
				t.Errorf("%v\nstdout %q\n  want %q\nstderr %q\n  want %q", err, stdout, c.stdout, stderr, c.stderr)
			}
			f.want(c.call)
		})
	}
}

func TestCmdPagesThroughPackages(t *testing.T) {
	f := newAPI(t, map[string]string{
		"GET /api/v1/packages?format=npm&limit=1000&prefix=":               `200 {"packages":[{"purl":"pkg:npm/a"}],"next":"npm:a"}`,
		"GET /api/v1/packages?after=npm%3Aa&format=npm&limit=1000&prefix=": `200 {"packages":[{"purl":"pkg:npm/b"}]}`,
	})
	stdout, _, err := larder(t, "", "pkg", "list", "--format", "npm")
	if err != nil || !strings.Contains(stdout, "pkg:npm/a") || !strings.Contains(stdout, "pkg:npm/b") || len(f.asked) != 2 {
		t.Errorf("%v %q %q", err, stdout, f.asked)
	}
}

// TestCmdExitCodes holds the one table from failures to exit codes.
func TestCmdExitCodes(t *testing.T) {
	newAPI(t, map[string]string{
		"GET /api/v1/whoami":               `401 {"status":401,"detail":"this needs a valid token"}`,
		"GET /api/v1/claims?limit=1000":    `403 {"status":403,"detail":"ask an administrator"}`,
		"DELETE /api/v1/claims/x":          `500 {"status":500,"detail":"something went wrong","request_id":"r-1"}`,
		"DELETE /api/v1/claims/y":          `400 {"status":400,"detail":"not of the right form"}`,
		"DELETE /api/v1/claims/z":          `502 {"status":502,"detail":"the upstream is not available"}`,
		"DELETE /api/v1/claims/h":          `503 <html>`,
		"GET /api/v1/upstreams":            `200 nonsense`,
		"GET /readyz":                      `503 {"status":"draining"}`,
		"GET /api/v1/tokens?limit=1000":    `302 `,
		"POST /api/v1/gc?dry_run=false":    "200 {\"collection\":{\"failures\":2,\"errors\":[\"x\"]}}",
		"POST /api/v1/gc?dry_run=true":     "200 {\"progress\":{\"done\":1}}\n",
		"POST /api/v1/verify?repair=false": "200 {\"verification\":{\"hosted_damaged\":1}}",
		"POST /api/v1/verify?repair=true":  "200 {\"problem\":{\"status\":507,\"detail\":\"no room\"}}",
	})
	wantExit(t, 4, "valid token", "whoami")
	wantExit(t, 4, "administrator", "claim", "list")
	wantExit(t, 5, "no such thing", "claim", "remove", "none")
	wantExit(t, 1, "something went wrong (r-1)", "claim", "remove", "x")
	wantExit(t, 2, "right form", "claim", "remove", "y")
	wantExit(t, 7, "upstream", "claim", "remove", "z")
	wantExit(t, 1, "503 Service Unavailable, and not as larder does", "claim", "remove", "h")
	wantExit(t, 1, "not what larder sends", "upstream", "list")
	wantExit(t, 1, "is not ready", "healthcheck")
	wantExit(t, 1, "302 Found", "token", "list")
	wantExit(t, 8, "2 files", "cache", "gc")
	wantExit(t, 1, "broke off", "cache", "gc", "--dry-run")
	wantExit(t, 6, "damaged", "verify")
	t.Setenv("LARDER_TOKEN", "")
	wantExit(t, 4, "this needs a token: sign in with larder login, or set LARDER_TOKEN", "whoami")
	t.Setenv("LARDER_TOKEN", "ldrp_token")
	wantExit(t, 1, "no room", "verify", "--repair")
	t.Setenv("LARDER_URL", "http://127.0.0.1:1")
	wantExit(t, 1, "larder serve", "whoami")
	for _, c := range []struct {
		err  error
		code int
	}{
		{nil, 0}, {errors.New("x"), 1}, {usagef("x"), 2}, {fmt.Errorf("a: %w", context.Canceled), 130},
		{fmt.Errorf("a: %w", cache.ErrCorrupt), 6}, {&apiError{Problem: admin.Problem{Status: 403}, rule: "cool"}, 3},
	} {
		if got := exitCode(c.err); got != c.code {
			t.Errorf("%v: %d, want %d", c.err, got, c.code)
		}
	}
}

// TestCmdUsage: mistakes in what is typed are told before anything is asked.
func TestCmdUsage(t *testing.T) {
	f := newAPI(t, nil)
	for line, say := range map[string]string{
		"serv":                                      "did you mean serve",
		"user creat bob":                            "did you mean create",
		"nothing-like-this":                         `there is no command "nothing-like-this"`,
		"user create":                               "accepts 1 arg(s), received 0; see larder user create --help",
		"whoami --jsn":                              "unknown flag: --jsn",
		"whoami -o xml":                             "table or json",
		"whoami extra":                              "unknown command",
		"grant acme bob write":                      "owner, member or none",
		"grant a/b bob owner":                       "use none, read, write or admin",
		"grant a/b/c bob read":                      "OWNER/NAME",
		"org set acme":                              "--base-role",
		"org set acme --base-role boss":             "--base-role",
		"org set acme --visibilities open":          "--visibilities",
		"team create core":                          "ORG/TEAM",
		"team add acme/core/x bob":                  "ORG/TEAM",
		"grant acme @core member":                   "OWNER/NAME",
		"grant pkg:npm/ bob read":                   "pkg:npm/name",
		"pkg access npm/b mine":                     "own or inherit",
		"pkg move npm/b c":                          "OWNER/NAME",
		"pkg set npm/b --visibility open":           "--visibility",
		"repo create a/b --visibility open":         "--visibility",
		"repo set a/b":                              "--immutable-tags",
		"repo set a/b --visibility open":            "--visibility",
		"repo show a":                               "OWNER/NAME",
		"token create":                              "--scopes",
		"token create --scopes packages":            "is not known",
		"token create --scopes repo --expires 5":    "not a duration",
		"token create --scopes repo --expires 10ms": "a second at least",
		"token create --scopes repo --expires 1d --never-expires": "exclude each other",
		"why left":                        "write it as pkg:npm/left",
		"pkg show pkg:npm/":               "write it as pkg:npm/name",
		"verify --data /nowhere/at/all":   "is no data folder",
		"discover cobol":                  "cobol",
		"config check --config none.yaml": "none.yaml",
	} {
		wantExit(t, 2, say, strings.Fields(line)...)
	}
	f.want()
}

// TestCmdHelp: every command has a sentence, an example, and fits a terminal.
func TestCmdHelp(t *testing.T) {
	newAPI(t, nil)
	root := rootCommand()
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		if cmd.Short == "" || cmd.Example == "" && cmd.Runnable() {
			t.Errorf("%s has no sentence or no example", cmd.CommandPath())
		}
		stdout, _, err := larder(t, "", append(strings.Fields(cmd.CommandPath())[1:], "--help")...)
		if err != nil || !strings.Contains(stdout, cmd.Example) {
			t.Errorf("%s --help: %v", cmd.CommandPath(), err)
		}
		for text := range strings.Lines(stdout) {
			if len(strings.TrimRight(text, "\n")) > 80 {
				t.Errorf("%s --help: longer than 80 columns: %s", cmd.CommandPath(), text)
			}
		}
		for _, c := range cmd.Commands() {
			walk(c)
		}
	}
	walk(root)
	stdout, _, err := larder(t, "", "help", "exit-codes")
	for _, c := range exitCodes() {
		if !strings.Contains(stdout, fmt.Sprintf("%3d  %s", c.code, c.text)) {
			t.Errorf("help exit-codes lacks %d: %v", c.code, err)
		}
	}
	if stdout, _, err := larder(t, "", "user"); err != nil || !strings.Contains(stdout, "create") {
		t.Errorf("a group alone: %v %s", err, stdout)
	}
}

func TestCmdCompletion(t *testing.T) {
	newAPI(t, map[string]string{
		"GET /api/v1/packages?format=npm&limit=200&prefix=to":      `200 {"packages":[{"purl":"pkg:npm/tool"}]}`,
		"GET /api/v1/packages?format=npm&limit=200&prefix=%40acme": `200 {"packages":[{"purl":"pkg:npm/%40acme/tool"}]}`,
		"GET /api/v1/packages?limit=200":                           `200 {"packages":[{"purl":"pkg:npm/%40acme/tool"},{"purl":"pkg:npm/tool"}]}`,
	})
	// Shells show only what begins as it was typed.
	for typed, want := range map[string]string{
		"pkg:npm/to": "pkg:npm/tool\n", "npm/to": "npm/tool\n", "pkg:npm/@acme": "pkg:npm/@acme/tool\n",
		"npm/@acme": "npm/@acme/tool\n", "pkg:npm/%40acme": "pkg:npm/%40acme/tool\n",
		"": "pkg:npm/%40acme/tool\npkg:npm/tool\n", "to": "",
	} {
		stdout, _, err := larder(t, "", "__complete", "pkg", "show", typed)
		if got, _, _ := strings.Cut(stdout, ":4\n"); err != nil || got != want {
			t.Errorf("%q: %v %q, want %q", typed, err, got, want)
		}
	}
	if stdout, _, err := larder(t, "", "completion", "bash"); err != nil || !strings.Contains(stdout, "larder") {
		t.Errorf("%v %.80q", err, stdout)
	}
}

// TestCmdTerminal: what others wrote cannot move a terminal's cursor.
func TestCmdTerminal(t *testing.T) {
	newAPI(t, map[string]string{"GET /api/v1/whoami": `200 {"user":"a\u001b[2Jb\u009bc\u202ed"}`})
	stdout, _, err := larder(t, "", "whoami", "--quiet")
	if err != nil || stdout != "a�[2Jb�c�d\n" {
		t.Errorf("%v %q", err, stdout)
	}
}

func TestCmdConfig(t *testing.T) {
	newAPI(t, nil)
	t.Setenv("LARDER_DATA", "")
	file := filepath.Join(t.TempDir(), "larder.yaml")
	if err := os.WriteFile(file, []byte("cache: {fresh: 10m}\nupstreams: {npm: {insecure: true}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr, err := larder(t, "", "config", "check", "--config", file)
	if err != nil || !strings.Contains(stderr, "warning: upstreams.npm.insecure") || !strings.Contains(stderr, "is good") {
		t.Errorf("%v %q", err, stderr)
	}
	stdout, _, err := larder(t, "", "config", "show", "--config", file)
	if err != nil || !strings.Contains(stdout, "larder.yaml: line 1") || !strings.Contains(stdout, "cache.fresh ") {
		t.Errorf("%v %q", err, stdout)
	}
	if err := os.WriteFile(file, []byte("cache: {max_size: 1000PiB}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantExit(t, 2, "85 %", "config", "check", "--config", file)
	if err := os.WriteFile(file, []byte("tls: {cert: none.crt, key: none.key}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantExit(t, 2, filepath.Join(filepath.Dir(file), "none.crt"), "config", "check", "--config", file)
}
