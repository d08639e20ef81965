package config

import (
	"slices"
	"strings"
	"testing"
)

// TestMistakes holds the sentences for what is wrong in a file: each names the
// line, the key and what to write instead.
func TestMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"cache:\n  fersh: 5m\n": `line 2: unknown key "fersh" in cache: did you mean "fresh"`,
		"lisen: x\n":            `line 1: unknown key "lisen": did you mean "listen"`,
		"zzzzzzzzzzzz: x\n":     `the keys are listen, public_url`,
		"listen: 127.0.0.1:1\nlisten: 127.0.0.1:2\n": `line 2: the key "listen" is there twice, first in line 1`,
		"listen: [a]\n":                                "line 1: listen: want a text, not a list",
		"cache: 5\n":                                   `line 1: cache: want a mapping`,
		"offline: yes\n":                               `line 1: offline: "yes" is neither true nor false`,
		"offline:\n":                                   "line 1: offline: want true or false, not nothing",
		"cache: {fresh: 5}\n":                          `cache.fresh: "5" is not a duration`,
		"cache: {fresh: -5m}\n":                        "is not a duration",
		"cache: {fresh: 0}\n":                          "cache.fresh: 0s is out of range",
		"cache: {fresh: 400d}\n":                       "cache.fresh: 400d is out of range",
		"cache: {max_size: 50G}\n":                     `"50G" is not a size`,
		"cache: {max_size: 5}\n":                       "cache.max_size: 5B is too small",
		"trusted_proxies: x\n":                         `trusted_proxies: want a list ([a, b]), not "x"`,
		"trusted_proxies: [x]\n":                       `trusted_proxies: "x" is neither an address nor a network`,
		"listen: &a x\n":                               "anchors and aliases",
		"listen: !!str x\n":                            "tags such as",
		"listen: 80\n":                                 `line 1: listen: "80" is not an address`,
		"public_url: ftp://x\n":                        "public_url: the value must begin with https:// or http://",
		"public_url: https://x/?a\n":                   "there can be no ? and no #",
		"tls: {cert: a}\n":                             "tls: cert and key belong together",
		"log: {level: wran}\n":                         `log.level: "wran" is not known (did you mean "warn"?)`,
		"log: {format: xml}\n":                         "log.format",
		"publish: {default_repository: x}\n":           "is not of the form owner/name",
		"uploads: {per_user: 0}\n":                     "uploads.per_user: 0 is out of range",
		"uploads: {open: 100001}\n":                    "uploads.open: 100001 is out of range",
		"uploads: {max_size: 5}\n":                     "uploads.max_size: 5B is too small",
		"uploads: {idle: 59s}\n":                       "uploads.idle: 59s is out of range",
		"uploads: {idle: 31d}\n":                       "uploads.idle: 31d is out of range",
		"registries: {api: {format: npm}}\n":           "registries.api: the name is reserved, as are v2",
		"registries: {Big: {format: npm}}\n":           "registries.Big: a registry's name is made of",
		"registries: {npm: {upstreams: [nowhere]}}\n":  `there is no upstream "nowhere": the upstreams are maven, npm`,
		"registries: {npm: {upstreams: [mpn]}}\n":      `did you mean "npm"?`,
		"registries: {npm: {upstreams: [maven]}}\n":    "the upstream maven speaks maven, this registry npm",
		"registries: {npm: {upstreams: [npm, npm]}}\n": "npm is there twice",
		"registries: {npm: {hosted: false}}\n":         "neither hosted packages nor an upstream",
		"registries: {npm: {hosts: [a/b]}}\n":          `"a/b" is no host name`,
		"registries: {npm: {hosts: [a]}, x: {format: npm, hosts: [a]}}\n":                                                 "a belongs to the registry npm already",
		"registries: {mine: {}}\n":                                                                                        `registries.mine.format: the format is missing: "mine" is no format's name`,
		"registries: {x: {format: mpn}}\n":                                                                                `"mpn" is no format (did you mean "npm"?): use one of npm, maven`,
		"registries: {x: {format: pypi}}\n":                                                                               "the format pypi is not part of this version, which knows npm, maven",
		"upstreams: {npm: {url: ''}}\n":                                                                                   "upstreams.npm.url: the address is empty",
		"upstreams: {npm: {url: 'u:p@x'}}\n":                                                                              "upstreams.npm.url: the value",
		"upstreams: {'a b': {format: npm}}\n":                                                                             "an upstream's name is made of",
		"upstreams: {npm: {auth: {type: digest}}}\n":                                                                      "use bearer, basic, header",
		"upstreams: {npm: {auth: {token: x}}}\n":                                                                          "it goes with type bearer or header",
		"upstreams: {npm: {auth: {type: bearer}}}\n":                                                                      "auth.token: type bearer needs it",
		"upstreams: {npm: {auth: {type: header, token: x, header: 'a b'}}}\n":                                             "is no header's name",
		"upstreams: {npm: {auth: {type: bearer, token: '${NOPE}'}}}\n":                                                    "${NOPE} is not set in the environment",
		"upstreams: {npm: {auth: {type: bearer, token: '${'}}}\n":                                                         "a ${ without a name and a }",
		"upstreams: {npm: {auth: {type: bearer, token: 'file:none'}}}\n":                                                  "secret from file",
		"upstreams: {npm: {allow_hosts: ['https://x']}}\n":                                                                "is not of the form host or host:port",
		"policy: {claims: [{id: a, match: ['@a'], formats: [npm], repository: a/b}]}\n":                                   "a scope is claimed as",
		"policy: {claims: [{id: a, match: [x]}]}\n":                                                                       "is not of the form owner/name",
		"policy: {claims: [{id: a, match: [x], formats: [mpn], repository: a/b}]}\n":                                      `"mpn" is no format`,
		"policy: {claims: [{id: a, match: [x], repository: a/b}, {id: a, match: [y], repository: a/b}]}\n":                "policy.claims[1].id: the id a is there twice",
		"policy: {claims: [{id: a, mach: [x]}]}\n":                                                                        `unknown key "mach" in policy.claims[0]: did you mean "match"`,
		"policy: {rules: [{kind: cooldown, min_age: 7d, mode: off}]}\n":                                                   "the id is missing",
		"policy: {rules: [{id: a, kind: cooldown, mode: off}]}\n":                                                         "policy.rules[0].min_age: a rule of kind cooldown needs it",
		"policy: {rules: [{id: a, kind: malware, mode: off}]}\n":                                                          "rules of kind malware are not in this version",
		"policy: {rules: [{id: a, kind: cooldwn, mode: off}]}\n":                                                          `did you mean "cooldown"?`,
		"policy: {rules: [{id: a, kind: deny, match: [x], mode: off}]}\n":                                                 `"x" is no package URL`,
		"policy: {rules: [{id: a, kind: deny, match: ['pkg:nmp/x'], mode: off}]}\n":                                       `"nmp" is no type of package URLs`,
		"policy: {rules: [{id: a, kind: deny, match: ['pkg:npm/x'], min_age: 1d, mode: off}]}\n":                          "a rule of kind deny has no min_age",
		"policy: {rules: [{id: a, kind: freeze, not_after: soon, mode: off}]}\n":                                          `"soon" is not a date`,
		"policy: {rules: [{id: a, kind: freeze, not_after: 2027-01-31, mounts: [x], mode: off}]}\n":                       `there is no registry "x"`,
		"policy: {rules: [{id: a, kind: freeze, not_after: 2027-01-31, mode: maybe}]}\n":                                  "use enforce, warn, off",
		"policy: {waivers: [{rule: a, match: ['pkg:npm/x'], by: b, until: 2027-01-31, why: c}]}\n":                        `there is no rule "a"`,
		"policy: {rules: [{id: a, kind: freeze, not_after: 2027-01-31, mode: off}], waivers: [{rule: a}]}\n":              "a waiver says who gave it",
		"policy:\n  rules:\n  - id: a\n    kind: deny\n    mode: off\n    match:\n    - pkg:npm/x\n    - pkg:npm/@acme\n": "line 8: policy.rules[0].match[1]: \"pkg:npm/@acme\": the scope @acme is no package: write pkg:npm/@acme/*",
		"policy: {rules: [{id: a, kind: deny, match: ['pkg:npm/x@^1.0.0'], mode: off}]}\n":                                "write comparators such as >=1.2.0,<2.0.0",
		"policy: {rules: [{id: a, kind: deny, match: ['pkg:npm/x'], mode: of}]}\n":                                        `"of" is not known (did you mean "off"?): use enforce, warn, off`,
		"policy: {rules: [{id: a, kind: deny, match: ['pkg:npm/x'], formats: [mpn], mode: off}]}\n":                       `policy.rules[0].formats[0]: "mpn" is not known (did you mean "npm"?)`,
		"policy: {rules: [{id: a, kind: deny, match: ['pkg:gem/x'], formats: [rubygems], mode: off}]}\n":                  "policy.rules[0].formats[0]: the format rubygems is not part of this version",
		"policy: {rules: [{id: a, kind: deny, match: ['pkg:npm/x'], formats: [maven], mode: off}]}\n":                     "it would cover nothing",
		"policy: {rules: [{id: a, kind: deny, match: ['pkg:npm/x'], mounts: [npn], mode: off}]}\n":                        `policy.rules[0].mounts[0]: there is no registry "npn" (did you mean "npm"?)`,
		"policy: {rules: [{id: a, kind: claim, match: ['pkg:npm/x'], mode: off}]}\n":                                      "claims have a list of their own",
		"policy: {rules: [{id: a, kind: pin, mode: off}]}\n":                                                              "is built in and always holds",
		"policy: {rules: [{id: 'a b', kind: deny, match: ['pkg:npm/x'], mode: off}]}\n":                                   `"a b" is no id`,
		"policy: {rules: [{id: a, kind: freeze, not_after: 2027-01-31, mode: off}], waivers: [{rule: a, match: ['pkg:npm/x@1.2'], by: b, until: 2027-01-31, why: c}]}\n": "policy.waivers[0].match[0]: \"pkg:npm/x@1.2\": \"1.2\" is no whole npm version",
		"a: [\n":                 "larder.yaml: line 1: did not find expected node content",
		"\tlisten: x\n":          "larder.yaml: line 1: found character that cannot start any token (a tab? indent with blanks)",
		"a: 1\n\tb: 2\n":         "larder.yaml: line 2: found",
		"listen: x:99999\n":      `listen: "x:99999" is not an address`,
		"listen: x:http-alt\n":   `listen: "x:http-alt" is not an address`,
		"upstreams: {npm: null}": `larder.yaml: line 1: registries.npm.upstreams: there is no upstream "npm": the upstreams are maven; by default it has one of its own name, so write registries: {npm: {upstreams: []}} too`,
		strings.Repeat("a: {", 30) + strings.Repeat("}", 30): "nested more than",
		"x: " + strings.Repeat("y", maxFile):                 "is larger than 4MiB",
	} {
		_, err := load(t, text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80q:\n got %v\nwant %s", text, err, want)
			continue
		}
		if !strings.Contains(err.Error(), "larder.yaml") {
			t.Errorf("%.80q: the file is not named: %v", text, err)
		}
	}
}

// TestEnvironmentMistakes holds the same for variables.
func TestEnvironmentMistakes(t *testing.T) {
	for pair, want := range map[string]string{
		"LARDER_CACHE_FERSH=5m":               "LARDER_CACHE_FERSH: there is no key cache.fersh: did you mean LARDER_CACHE_FRESH?",
		"LARDER_CACHE=5m":                     "cache is a section: name one of its keys",
		"LARDER_CACHE_FRESH=":                 "the value is empty: unset the variable",
		"LARDER_CACHE_FRESH=x":                "environment variable LARDER_CACHE_FRESH: cache.fresh:",
		"LARDER_UPSTREAMS_X=1":                "want LARDER_UPSTREAMS_<NAME>_<KEY>",
		"LARDER_UPSTREAMS_NPM_URI=http://a.b": "there is no key upstreams.npm.uri",
		"LARDER_POLICY_CLAIMS=[{ID: a}]":      `line 1: unknown key "ID"`,
		"LARDER_POLICY_CLAIMS=[":              "LARDER_POLICY_CLAIMS",
		"LARDER_LISTEN=x":                     "LARDER_LISTEN: listen:",
		"LARDER_OFFLINE=1":                    `"1" is neither true nor false: write true or false`,
	} {
		if _, err := load(t, "", pair); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s:\n got %v\nwant %s", pair, err, want)
		}
	}
}

func TestAllMistakesAreTold(t *testing.T) {
	_, err := load(t, "listen: 1\nlog: {level: x}\nregistries: {api: {format: npm}}\n")
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("got %v", err)
	}
}

// TestStrangeVariables: a variable that begins with no section is somebody
// else's, unless it is nearly one of ours.
func TestStrangeVariables(t *testing.T) {
	l, err := load(t, "", "LARDER_LISTN=x", "LARDER_PORT=tcp://10.0.0.1:80", "LARDER_SERVICE_HOST=x", "LARDER_URL=x", "LARDER_TOKEN=x", "LARDER_TEST_CLOCK_OFFSET=1h", "LARDER_DAT=x")
	l = must(t, l, err)
	want := []string{
		"the environment variable LARDER_DAT is no key of the configuration: did you mean LARDER_DATA?",
		"the environment variable LARDER_LISTN is no key of the configuration: did you mean LARDER_LISTEN?",
	}
	if !slices.Equal(l.Warnings, want) {
		t.Errorf("warnings %q", l.Warnings)
	}
}

func TestWarnings(t *testing.T) {
	l, err := load(t, "upstreams: {npm: {insecure: true}}\npolicy: {rules: [{id: a, kind: cooldown, min_age: 7d, mode: warn}]}\n")
	if l = must(t, l, err); len(l.Warnings) != 1 {
		t.Errorf("%q", l.Warnings)
	}
}

// TestRulesThatDoNothing are allowed, because a rule may be off for a while.
func TestRulesThatDoNothing(t *testing.T) {
	l, err := load(t, "policy: {rules: [{id: a, kind: allow, mode: warn, match: ['pkg:npm/x']}]}\n")
	if l = must(t, l, err); len(l.Warnings) != 1 || !strings.Contains(l.Warnings[0], "policy.rules[0] (a): it changes nothing") {
		t.Errorf("%q", l.Warnings)
	}
}

func TestMissingFile(t *testing.T) {
	if _, err := Load(Source{File: t.TempDir() + "/none.yaml"}); err == nil || !strings.Contains(err.Error(), "none.yaml") {
		t.Errorf("got %v", err)
	}
}
