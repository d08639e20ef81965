package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestPolicyCommands(t *testing.T) {
	api := newAPI(t, map[string]string{
		"GET /api/v1/policy/rules": `200 {"rules":[
			{"id":"cool","kind":"cooldown","mode":"enforce","source":"config","min_age_seconds":604800,"waivable":true,"refused":3,"warned":0},
			{"id":"list","kind":"allow","mode":"enforce","source":"config","exclusive":true,"formats":["npm"],"match":["pkg:npm/a","pkg:npm/b","pkg:npm/c","pkg:npm/d"],"mounts":["npm"],"waivable":true,"refused":0,"warned":0},
			{"id":"worm","kind":"freeze","mode":"warn","source":"config","not_after":"2026-01-02T03:04:00Z","expires":"2026-12-31T00:00:00Z","reason":"a worm","waivable":true,"refused":0,"warned":9}]}`,
		"GET /api/v1/policy/waivers": `200 {"waivers":[
			{"id":"config-1","source":"config","rule":"gone","match":["pkg:npm/a","pkg:npm/b"],"by":"bob","why":"so","until":"2026-12-31T23:59:59Z","without_effect":"there is no rule gone any more"}]}`,
		"POST /api/v1/policy/waivers":        `201 {"id":"w1","source":"api","rule":"cool","match":["pkg:npm/left@1.0.0"],"by":"alice","why":"urgent","until":"2026-12-31T23:59:59Z"}`,
		"DELETE /api/v1/policy/waivers/w1":   `204 `,
		"DELETE /api/v1/policy/waivers/a%2F": `409 {"status":409,"detail":"it is in the config file"}`,
	})
	out, _, err := larder(t, "", "policy", "rules")
	for _, want := range []string{
		"cool  cooldown  enforce  3        0       never             all younger than 7d",
		"all but pkg:npm/a pkg:npm/b pkg:npm/c and 1 more in npm",
		"worm  freeze    warn     0        9       2026-12-31 00:00  all from after 2026-01-02 03:04",
	} {
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%v\n%s\nwant %q", err, out, want)
		}
	}
	out, _, err = larder(t, "", "policy", "waivers")
	if err != nil || !strings.Contains(out, "pkg:npm/a pkg:npm/b  2026-12-31 23:59  bob  so   without effect: there is no rule gone any more") {
		t.Errorf("%v\n%s", err, out)
	}
	api.want("GET /api/v1/policy/rules", "GET /api/v1/policy/waivers")

	out, said, err := larder(t, "", "policy", "waive", "cool", "npm/left@1.0.0", "--until", "2026-12-31", "--why", "urgent")
	if err != nil || out != "w1\n" || !strings.Contains(said, "waiver w1: pkg:npm/left@1.0.0 passes the rule cool until 2026-12-31 23:59 UTC") {
		t.Errorf("%v\n%s\n%s", err, out, said)
	}
	api.want(`POST /api/v1/policy/waivers {"rule":"cool","match":["pkg:npm/left@1.0.0"],"until":"2026-12-31T23:59:59Z","why":"urgent"}`)
	if _, said, err = larder(t, "", "policy", "unwaive", "w1"); err != nil || !strings.Contains(said, "the waiver w1 has ended") {
		t.Errorf("%v\n%s", err, said)
	}
	wantExit(t, exitFailed, "it is in the config file", "policy", "unwaive", "a/")
	for _, args := range [][]string{
		{"cool", "npm/left", "--why", "x"},
		{"cool", "npm/left", "--until", "7d"},
		{"cool", "npm/left", "--until", "monday", "--why", "x"},
		{"cool", "left", "--until", "7d", "--why", "x"},
		{"cool", "--until", "7d", "--why", "x"},
	} {
		wantExit(t, exitUsage, "", append([]string{"policy", "waive"}, args...)...)
	}
}

func TestUntil(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"7d": "2026-03-08T12:00:00Z", "36h": "2026-03-03T00:00:00Z", "2026-03-31": "2026-03-31T23:59:59Z",
		"2026-03-31T10:00:00+02:00": "2026-03-31T08:00:00Z", "tomorrow": "", "": "",
	} {
		got, err := untilOf(text, now)
		if (err != nil) != (want == "") || err == nil && got.Format(time.RFC3339) != want {
			t.Errorf("%q: %v, %v, want %s", text, got, err, want)
		}
	}
}

func TestResetOriginCommand(t *testing.T) {
	const path = "POST /api/v1/policy/origin/reset?dry_run="
	answer := `200 {"purl":"pkg:npm/left","upstream":"far","since":"2026-01-02T03:04:05Z","documents":2}`
	api := newAPI(t, map[string]string{
		path + "true&purl=pkg%3Anpm%2Fleft&registry=": answer, path + "false&purl=pkg%3Anpm%2Fleft&registry=": answer,
		path + "false&purl=pkg%3Anpm%2Fleft&registry=two": `409 {"status":409,"detail":"left is published here"}`,
	})
	out, said, err := larder(t, "", "policy", "reset-origin", "npm/left")
	if err != nil || !strings.Contains(out, "had come from:             upstream far") || !strings.Contains(said, "nothing was changed: add --yes") {
		t.Errorf("%v\n%s\n%s", err, out, said)
	}
	api.want(path + "true&purl=pkg%3Anpm%2Fleft&registry=")
	if out, _, err = larder(t, "", "policy", "reset-origin", "npm/left", "--yes"); err != nil || !strings.Contains(out, "cached documents dropped:  2") {
		t.Errorf("%v\n%s", err, out)
	}
	api.want(path + "false&purl=pkg%3Anpm%2Fleft&registry=")
	wantExit(t, exitFailed, "left is published here", "policy", "reset-origin", "npm/left", "--registry", "two", "--yes")
}

func TestApproveCommand(t *testing.T) {
	api := newAPI(t, map[string]string{"POST /api/v1/policy/approve?registry=": `200 {"approved":1}`})
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	one := write("package-lock.json", `{"lockfileVersion":3,"packages":{"node_modules/@acme/pad":{"version":"2.0.0"},"node_modules/left":{"version":"1.0.0"}}}`)
	two := write("pnpm-lock.yaml", "lockfileVersion: '9.0'\npackages:\n  left@1.0.0: {}\n  right@1.0.0: {}\n")
	out, said, err := larder(t, "", "policy", "approve", "--from-lockfile", one, "--from-lockfile", two, "--since", "2026-01-02")
	if err != nil || out != "approved:  1\n" || !strings.Contains(said, "3 versions in all") {
		t.Errorf("%v\n%s\n%s", err, out, said)
	}
	api.want(`POST /api/v1/policy/approve?registry= {"purls":["pkg:npm/%40acme/pad@2.0.0","pkg:npm/left@1.0.0","pkg:npm/right@1.0.0"],"since":"2026-01-02T00:00:00Z"}`)
	if _, _, err := larder(t, "", "policy", "approve", "--from-lockfile", two); err != nil {
		t.Error(err)
	}
	api.want(`POST /api/v1/policy/approve?registry= {"purls":["pkg:npm/left@1.0.0","pkg:npm/right@1.0.0"]}`)
	for _, args := range [][]string{
		{}, {"--from-lockfile", filepath.Join(dir, "none")}, {"--from-lockfile", write("x", "hello")}, {"--from-lockfile", one, "--since", "monday"},
	} {
		wantExit(t, exitUsage, "", append([]string{"policy", "approve"}, args...)...)
	}
	api.want()
}
