package bearer_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"larder/upstream"
	"larder/upstream/upstreamtest"
)

// TestChallengesWithoutEnd: a registry that takes no token, and wants another one
// each time, gets no more than two tries and two tokens for each question, and is what
// refuses us.
func TestChallengesWithoutEnd(t *testing.T) {
	for name, challenge := range map[string]string{
		"another scope":   `Bearer realm="%[1]s/token",service="x",scope="repository:a:pull repository:b%[2]d:pull"`,
		"another service": `Bearer realm="%[1]s/token",service="x%[2]d"`,
		"another realm":   `Bearer realm="%[1]s/token/%[2]d",service="x"`,
		"the same":        `Bearer realm="%[1]s/token",service="x",error="insufficient_scope"`,
	} {
		srv := upstreamtest.New(t)
		var asked, tokens atomic.Int64
		srv.ServeFunc("/v2/a/manifests/v1", func(*http.Request) upstreamtest.Answer {
			text := strings.ReplaceAll(challenge, "%[1]s", srv.URL)
			text = strings.ReplaceAll(text, "%[2]d", fmt.Sprint(asked.Add(1)))
			return upstreamtest.Answer{Status: 401, Header: http.Header{"Www-Authenticate": {text}}}
		})
		token := func(*http.Request) upstreamtest.Answer {
			return upstreamtest.Answer{Body: fmt.Appendf(nil, `{"token":"t%d","expires_in":300}`, tokens.Add(1)), ContentType: "application/json"}
		}
		srv.ServeFunc("/token", token)
		for i := range 40 {
			srv.ServeFunc(fmt.Sprintf("/token/%d", i), token)
		}
		w := &world{}
		w.speakTo(t, srv.URL, withLogin)
		const times = 10
		for range times {
			w.fails(t, "v2/a/manifests/v1", upstream.ErrNotExist)
		}
		if asked.Load() > 2*times || tokens.Load() > 2*times {
			t.Errorf("%s: %d requests and %d tokens for %d questions", name, asked.Load(), tokens.Load(), times)
		}
	}
}
