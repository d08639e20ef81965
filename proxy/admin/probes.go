package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"time"

	"larder/formats"
	"larder/policy"
	"larder/proxy"
)

// probe makes a handler of a function that answers GET and HEAD.
func (a *api) probe(fn func(*call) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		visit, _ := proxy.FromContext(r.Context())
		c := &call{api: a, w: w, r: r, visit: visit}
		err := error(&formats.MethodError{Allow: []string{http.MethodGet, http.MethodHead}})
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			err = fn(c)
		}
		if err != nil {
			c.fail(err)
		}
	})
}

// alive says that the process lives; it touches nothing.
func (a *api) alive(c *call) error {
	c.send(http.StatusOK, "application/json", []byte(`{"status":"alive"}`+"\n"))
	return nil
}

// readyFor is how long an answer of Options.Ready is believed.
const readyFor = time.Second

// readiness asks Options.Ready now and then.
type readiness struct {
	api *api

	mu    sync.Mutex // held while asking, so that one asks for all
	asked time.Time
	err   error
}

var errDraining = errors.New("the server is ending")

func (p *readiness) state(r *http.Request) (string, error) {
	select {
	case <-p.api.Draining:
		return "draining", errDraining
	default:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := p.api.Clock(); p.asked.IsZero() || now.Sub(p.asked) >= readyFor || now.Before(p.asked) {
		p.err = p.api.Ready(r.Context())
		p.asked = now
	}
	if p.err != nil {
		return "unavailable", p.err
	}
	return "ready", nil
}

// answer says whether requests can be served: 200 or 503. The reason is told
// to administrators only.
func (p *readiness) answer(c *call) error {
	word, err := p.state(c.r)
	body := map[string]string{"status": word}
	status := http.StatusOK
	if err != nil {
		status = http.StatusServiceUnavailable
		if caller, no := c.Identifier.Identify(c.r, c.visit.Remote); no == nil && p.administers(c, caller) {
			body["detail"] = err.Error()
		}
	}
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	c.send(status, "application/json", append(text, '\n'))
	return nil
}

func (p *readiness) administers(c *call, caller policy.Subject) bool {
	return c.Directory.Authorize(c.r.Context(), caller, policy.Administer, policy.Resource{}).Verdict == policy.Allow
}
