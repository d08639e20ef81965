package config

import (
	"reflect"
	"strings"
	"testing"
)

func loadContainers(t *testing.T, text string, env ...string) (*Loaded, error) {
	t.Helper()
	src := Source{Env: env, Formats: []string{"npm", "oci"}}
	if text != "" {
		src.File = write(t, text)
	}
	return Load(src)
}

// TestContainersByDefault: one registry of our own, merged with nothing, and a
// mirror of what the machine's clients use.
func TestContainersByDefault(t *testing.T) {
	l, err := loadContainers(t, "")
	l = must(t, l, err)
	if want := (Registry{Format: "oci", Hosted: true, FollowSubject: true}); !reflect.DeepEqual(l.Registries["oci"], want) {
		t.Errorf("the registry: %+v", l.Registries["oci"])
	}
	if u := l.Upstreams["oci"]; u.Format != "oci" || u.URL.Reveal() != Auto || !reflect.DeepEqual(l.Mirrors(), []string{"oci"}) {
		t.Errorf("the mirrors: %v, %+v", l.Mirrors(), u)
	}
	l, err = loadContainers(t, "upstreams: {oci: null}\nregistries: {oci: {hosted: false}}\n")
	if l = must(t, l, err); len(l.Mirrors()) != 0 || l.Registries["oci"].Hosted {
		t.Errorf("neither hosted nor mirrored: %+v", l.Config)
	}
}

func TestContainerUpstreams(t *testing.T) {
	l, err := loadContainers(t, `
upstreams:
  hub: {format: oci, url: "https://hub.upstream.example", hosts: [hub.larder.example], namespaces: [upstream.example, "old.example:5000"], library: true, concurrency: 3, rate: 100/6h}
  corp: {format: oci, url: "https://corp.upstream.example", allow: [acme/**, tools/*], deny: [acme/secret/**], prefetch: [linux/amd64, linux/arm64/v8]}
registries:
  oci: {hosts: [images.larder.example], default_upstream: hub, retention: [{match: [acme/**], untagged: 30d, keep: 10}, {untagged: 1d}]}
policy:
  rules: [{id: a, kind: freeze, not_after: 2027-01-31, mounts: [mirror/hub, oci], mode: off}]
`, "LARDER_UPSTREAMS_CORP_RATE=10/1s", "LARDER_UPSTREAMS_CORP_CONCURRENCY=7", "LARDER_UPSTREAMS_CORP_NAMESPACES=a.example,b.example:1")
	l = must(t, l, err)
	hub, corp := l.Upstreams["hub"], l.Upstreams["corp"]
	if hub.Rate.String() != "100/6h" || hub.Concurrency != 3 || !hub.Library || !reflect.DeepEqual(hub.Hosts, []string{"hub.larder.example"}) ||
		!reflect.DeepEqual(hub.Namespaces, []string{"upstream.example", "old.example:5000"}) {
		t.Errorf("hub: %+v", hub)
	}
	if !reflect.DeepEqual(corp.Prefetch, []string{"linux/amd64", "linux/arm64/v8"}) {
		t.Errorf("corp fetches ahead %q", corp.Prefetch)
	}
	if corp.Rate.String() != "10/1s" || corp.Concurrency != 7 || len(corp.Namespaces) != 2 {
		t.Errorf("corp: %+v", corp)
	}
	if want := []Keep{{Match: []string{"acme/**"}, Untagged: Duration(30 * day), Newest: 10}, {Untagged: Duration(day)}}; !reflect.DeepEqual(l.Registries["oci"].Retention, want) {
		t.Errorf("retention: %+v", l.Registries["oci"].Retention)
	}
	if l.Registries["oci"].DefaultUpstream != "hub" || len(l.Warnings) != 1 || !strings.Contains(l.Warnings[0], "registries.oci.default_upstream") {
		t.Errorf("%+v, warnings %q", l.Registries["oci"], l.Warnings)
	}
	for image, want := range map[string]bool{
		"acme/app": true, "acme/a/b": true, "acme/secret/x": false, "tools/x": true, "tools/x/y": false, "acme": false, "library/x": false,
	} {
		if corp.Pick(image) != want {
			t.Errorf("corp may be asked for %s: %v", image, !want)
		}
		if !hub.Pick(image) {
			t.Errorf("hub may not be asked for %s", image)
		}
	}
}

func TestContainerMistakes(t *testing.T) {
	for text, want := range map[string]string{
		"registries: {images: {format: oci}}\n":                                                              "registries.images: there is one container registry, at /v2/, and its name is oci",
		"registries: {oci: {format: npm, upstreams: [npm]}}\n":                                               "registries.oci: the name is that of the container registry",
		"registries: {npm: {upstreams: [npm], default_upstream: oci}}\n":                                     "registries.npm.default_upstream: it is for the registry oci",
		"registries: {oci: {default_upstream: hub}}\n":                                                       `registries.oci.default_upstream: there is no container upstream "hub": they are oci`,
		"registries: {oci: {default_upstream: npm}}\n":                                                       `there is no container upstream "npm"`,
		"registries: {oci: {upstreams: [npm]}}\n":                                                            "the upstream npm speaks npm, this registry oci",
		"registries: {npm: {hosts: [A.example]}}\nupstreams: {oci: {hosts: [a.example]}}\n":                  "upstreams.oci.hosts: a.example belongs to the registry npm already",
		"upstreams: {oci: {hosts: [a.example]}, b: {format: oci, hosts: [a.example]}}\n":                     "upstreams.oci.hosts: a.example belongs to the mirror of b already",
		"upstreams: {oci: {hosts: ['a.example:80']}}\n":                                                      `upstreams.oci.hosts: "a.example:80" is no host name`,
		"registries: {oci: {retention: [{keep: 3}]}}\n":                                                      "registries.oci.retention[0].untagged: it is missing, or less than a day",
		"registries: {oci: {retention: [{untagged: 23h}]}}\n":                                                "registries.oci.retention[0].untagged",
		"registries: {oci: {retention: [{untagged: 1d, keep: -1}]}}\n":                                       "registries.oci.retention[0].keep: -1",
		"registries: {oci: {retention: [{untagged: 1d, match: ['a/**/b']}]}}\n":                              "registries.oci.retention[0].match: pattern",
		"upstreams: {oci: {namespaces: ['https://a.example']}}\n":                                            `"https://a.example" is not of the form host or host:port`,
		"upstreams: {oci: {namespaces: [A.example]}, b: {format: oci, namespaces: [a.example]}}\n":           "upstreams.oci.namespaces: A.example belongs to the upstream b already",
		"upstreams: {oci: {namespaces: ['A.example:443']}, b: {format: oci, namespaces: [a.example]}}\n":     "upstreams.oci.namespaces: A.example:443 belongs to the upstream b already",
		"upstreams: {oci: {url: 'https://a.example/v2/'}}\n":                                                 "upstreams.oci.url: the address ends before /v2",
		"upstreams: {oci: {allow: ['a/**/b']}}\n":                                                            "upstreams.oci.allow: pattern",
		"upstreams: {oci: {deny: ['']}}\n":                                                                   "upstreams.oci.deny: a name pattern is empty",
		"upstreams: {a..b: {format: oci}}\n":                                                                 "upstreams.a..b: the name of a container upstream is a part of image names",
		"upstreams: {a_: {format: oci}}\n":                                                                   "upstreams.a_: the name of a container upstream",
		"upstreams: {npm: {library: true}}\n":                                                                "upstreams.npm.library: it is for upstreams of the format oci",
		"upstreams: {npm: {hosts: [a.example]}}\n":                                                           "upstreams.npm.hosts: it is for upstreams",
		"upstreams: {npm: {namespaces: [a.example]}}\n":                                                      "upstreams.npm.namespaces: it is for upstreams",
		"upstreams: {npm: {allow: [a]}}\n":                                                                   "upstreams.npm.allow: it is for upstreams",
		"upstreams: {npm: {deny: [a]}}\n":                                                                    "upstreams.npm.deny: it is for upstreams",
		"upstreams: {npm: {prefetch: [linux/amd64]}}\n":                                                      "upstreams.npm.prefetch: it is for upstreams",
		"upstreams: {oci: {prefetch: [amd64]}}\n":                                                            `upstreams.oci.prefetch: "amd64" is no platform`,
		"upstreams: {oci: {prefetch: ['linux/amd64,linux/arm64']}}\n":                                        `is no platform`,
		"upstreams: {npm: {concurrency: -1}}\n":                                                              "upstreams.npm.concurrency: -1 is out of range",
		"upstreams: {npm: {concurrency: 99999}}\n":                                                           "out of range",
		"upstreams: {npm: {concurrency: many}}\n":                                                            `upstreams.npm.concurrency: "many" is not a number`,
		"upstreams: {npm: {concurrency: [1]}}\n":                                                             "want a number, not a list",
		"upstreams: {npm: {rate: 100}}\n":                                                                    `"100" is not a rate`,
		"upstreams: {npm: {rate: [1]}}\n":                                                                    "want a rate such as 100/6h",
		"policy: {rules: [{id: a, kind: freeze, not_after: 2027-01-31, mounts: [mirror/hub], mode: off}]}\n": `there is no registry "mirror/hub" (did you mean "mirror/oci"?): the registries are npm, oci, mirror/oci`,
	} {
		_, err := loadContainers(t, text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s got %v\nwant %s", text, err, want)
		}
	}
}

// TestTheFoundUpstreamHasAnotherName where somebody gives it one.
func TestTheFoundUpstreamHasAnotherName(t *testing.T) {
	l, err := loadContainers(t, "upstreams: {oci: null, hub: {format: oci}}\n")
	if l = must(t, l, err); !reflect.DeepEqual(l.Mirrors(), []string{"hub"}) || l.Upstreams["hub"].URL.Reveal() != Auto {
		t.Errorf("%v: %+v", l.Mirrors(), l.Upstreams["hub"])
	}
}

// TestOneHostOfTwo: of two upstreams at one host clients that say ns= get the first,
// which is what somebody may not want.
func TestOneHostOfTwo(t *testing.T) {
	for text, warned := range map[string]bool{
		"upstreams: {a: {format: oci, url: 'https://x.example/a'}, b: {format: oci, url: 'https://X.example:443/b'}}\n":                           true,
		"upstreams: {a: {format: oci, url: 'https://x.example/a'}, b: {format: oci, url: 'https://x.example/b', namespaces: [x.example]}}\n":      false,
		"upstreams: {a: {format: oci, url: 'https://x.example/a', namespaces: [x.example]}, b: {format: oci, url: 'https://x.example/b'}}\n":      false,
		"upstreams: {a: {format: oci, url: 'https://x.example:5000/a'}, b: {format: oci, url: 'https://x.example/b'}}\n":                          false,
		"upstreams: {a: {format: oci, url: auto}, b: {format: oci, url: 'https://x.example/b'}, npm: {format: npm, url: 'https://x.example/'}}\n": false,
	} {
		l, err := loadContainers(t, text)
		l = must(t, l, err)
		if got := len(l.Warnings) == 1 && strings.Contains(l.Warnings[0], "upstreams.b.url: it has the host of the upstream a"); got != warned || len(l.Warnings) > 1 {
			t.Errorf("%s warned %q", text, l.Warnings)
		}
	}
}

// TestMergedContainersAreWarnedOf: who writes them wants something that is not done.
func TestMergedContainersAreWarnedOf(t *testing.T) {
	l, err := loadContainers(t, "registries: {oci: {upstreams: [oci]}}\n")
	l = must(t, l, err)
	if len(l.Warnings) != 1 || !strings.Contains(l.Warnings[0], "/v2/mirror/<name>/") {
		t.Errorf("warnings %q", l.Warnings)
	}
}

func TestRates(t *testing.T) {
	for text, want := range map[string]string{"100/6h": "100/6h", "10/1000ms": "10/1s", "1/1d": "1/1d", "": ""} {
		r, err := ParseRate(text)
		if err != nil || r.String() != want {
			t.Errorf("%q: %q, %v", text, r, err)
		}
	}
	for _, bad := range []string{"100", "/6h", "100/", "0/1s", "-1/1s", "1.5/1s", "100/6", "100/0", "1/1h/1h", "9999999999999999999/1s", "x"} {
		if r, err := ParseRate(bad); err == nil {
			t.Errorf("%q was read as %v", bad, r)
		}
	}
}
