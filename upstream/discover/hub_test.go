package discover

import (
	"slices"
	"testing"
)

// hub is what is asked where nobody has said anything else. Its names are those
// of the library, never written here.
func hub() string { return "https://" + HubNames()[len(HubNames())-1] }

func TestTheHubIsKnownByAllItsNames(t *testing.T) {
	if len(HubNames()) != 3 || slices.Contains(HubNames(), "") {
		t.Errorf("names %q", HubNames())
	}
	for _, name := range HubNames() {
		if !IsHub(name) {
			t.Errorf("%s is not the hub", name)
		}
	}
	if IsHub("") || IsHub("a.example") || IsHub("x."+HubNames()[0]) || IsHub(HubNames()[0]+".a.example") {
		t.Error("others are the hub")
	}
}

func TestWhereContainerClientsGoByDefault(t *testing.T) {
	name := HubNames()[0]
	for what, tt := range map[string]struct {
		conf, daemon string
		want         []string
		host         string
	}{
		"nobody said anything":  {"", "", []string{hub()}, name},
		"files that say little": {"short-name-mode=\"enforcing\"\n[aliases]\n\"x\" = \"y.example/x\"\n", "{}", []string{hub()}, name},
		"its name in a file":    {"unqualified-search-registries=[\"" + name + "\"]\n", "", []string{hub()}, name},
		"a mirror of the company": {"[[registry]]\nprefix=\"" + name + "\"\nlocation=\"mirror.example/hub\"\n", "",
			[]string{"https://mirror.example/hub"}, name},
		"a mirror beside it": {"[[registry]]\nlocation=\"" + name + "\"\n[[registry.mirror]]\nlocation=\"mirror.example\"\n", "",
			[]string{"https://mirror.example"}, name},
		"this larder, and behind it the company": {
			"[[registry]]\nprefix=\"" + name + "\"\nlocation=\"inner.example\"\n[[registry.mirror]]\nlocation=\"larder.example:8080/mirror/oci\"\ninsecure=true\n", "",
			[]string{self, "https://inner.example"}, name},
		"this larder, and behind it the hub": {
			"[[registry]]\nlocation=\"" + name + "\"\n[[registry.mirror]]\nlocation=\"larder.example:8080/mirror/oci\"\ninsecure=true\n", "",
			[]string{self, hub()}, name},
		"another registry through this larder": {
			"[[registry]]\nlocation=\"larder.example:8080\"\ninsecure=true\n" +
				"[[registry]]\nprefix=\"up.example\"\nlocation=\"up.example\"\n[[registry.mirror]]\nlocation=\"larder.example:8080/mirror/up\"\ninsecure=true\n", "",
			[]string{hub()}, name},
		"another registry that is described alone": {"[[registry]]\nlocation=\"inner.example:5000\"\ninsecure=true\n", "", []string{hub()}, name},
		"this larder for the daemon":               {"", `{"registry-mirrors":["http://larder.example:8080/"]}`, []string{self, hub()}, name},
		"a mirror for the daemon":                  {"", `{"registry-mirrors":["https://mirror.example/"]}`, []string{"https://mirror.example/"}, name},
		"another registry":                         {"unqualified-search-registries=[\"other.example\"]\n", "", []string{"https://other.example"}, ""},
		"a block":                                  {"[[registry]]\nlocation=\"" + name + "\"\nblocked=true\n", "", []string{"! containers: the default registry of the clients is blocked"}, ""},
		"a file that cannot be read":               {"x = [\n", "", []string{"! containers: "}, ""},
		"another such file":                        {"", "{", []string{"! docker: "}, ""},
	} {
		t.Run(what, func(t *testing.T) {
			f := newFake(t)
			f.self = []string{"larder.example:8080"}
			if tt.conf != "" {
				f.file("/etc/containers/registries.conf", tt.conf)
			}
			if tt.daemon != "" {
				f.file("/etc/docker/daemon.json", tt.daemon)
			}
			f.check("oci", tt.want...)
			for _, found := range Find(t.Context(), f.options("oci")) {
				if found.URL != "" && found.Host != tt.host {
					t.Errorf("images of it are called %q, want %q: %+v", found.Host, tt.host, found)
				}
			}
		})
	}
}

// TestTheHubsCredential: tools keep it under the address of an older interface.
func TestTheHubsCredential(t *testing.T) {
	for _, key := range append([]string{"https://" + HubNames()[1] + "/v1/"}, HubNames()...) {
		f := newFake(t)
		f.file("~/.docker/config.json", `{"auths":{"`+key+`":{"auth":"`+b64("u:p")+`"}}}`)
		f.check("oci", hub()+" u:p")
	}
}
