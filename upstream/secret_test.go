package upstream_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"larder/upstream"
)

// TestThreat18SecretsNeverPrint: whatever verb, encoder or struct around it.
func TestThreat18SecretsNeverPrint(t *testing.T) {
	const planted = "hunter2-hunter2"
	s := upstream.Hide(planted)
	auth := upstream.Auth{Type: "bearer", Token: s, Password: s}
	client, err := upstream.New(upstream.Config{ID: "far", URL: "https://u:" + planted + "@upstream.example/"}, upstream.NewTransport(upstream.Options{Proxy: noProxy}))
	if err != nil {
		t.Fatal(err)
	}
	type keeper struct { // nothing asks an unexported field how it prints
		s      upstream.Secret
		auth   upstream.Auth
		list   []upstream.Auth
		by     map[string]upstream.Auth
		client *upstream.Client
	}
	k := keeper{s, auth, []upstream.Auth{auth}, map[string]upstream.Auth{"a": auth}, client}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%c", "%e"} {
		for _, v := range []any{s, &s, auth, &auth, k, &k, client, *client, client.Config(), []upstream.Secret{s}} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
	}
	text, err := json.Marshal(map[string]any{"s": s, "auth": auth, "config": client.Config().Auth})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "s", s, "auth", auth)
	for _, leak := range []string{planted, fmt.Sprintf("%x", planted), fmt.Sprintf("%X", planted)} {
		if at := strings.Index(out.String(), leak); at >= 0 {
			t.Errorf("the secret is printed: …%s", out.String()[max(0, at-200):at+len(leak)])
		}
	}
	if !strings.Contains(out.String(), "[redacted]") {
		t.Error("nothing stands in its place")
	}
	if s.Reveal() != planted || s.IsZero() || !upstream.Hide("").IsZero() || upstream.Hide("").Reveal() != "" || !reflect.DeepEqual(s, upstream.Hide(planted)) {
		t.Error("the text is not kept as it is")
	}
}
