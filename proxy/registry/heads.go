package registry

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"larder/upstream"
)

// headAgain is how long an upstream that does not answer HEAD is asked by GET,
// which some count as downloads, before HEAD is tried again.
const headAgain = time.Hour

// heads remembers of upstreams, by id, whether they answer HEAD: the zero time for
// yes, else when they last did not, or nothing as long as that is not known. The
// zero value is ready to use.
type heads struct{ known sync.Map }

func (h *heads) answer(id string) bool {
	since, ok := h.known.Load(id)
	return ok && since.(time.Time).IsZero()
}

// refuse says that HEAD is no use now.
func (h *heads) refuse(id string, now time.Time) bool {
	since, ok := h.known.Load(id)
	return ok && !since.(time.Time).IsZero() && within(since.(time.Time), now, headAgain)
}

// headed asks by HEAD, and where an upstream does not do that, by GET: whole says
// that the answer came that way, with its body. An upstream that has answered no
// HEAD yet is not believed that something is missing. The caller closes the body.
// Errors: those of upstream.
func (e *Engine) headed(ctx context.Context, s Source, req upstream.Request) (resp *upstream.Response, whole bool, err error) {
	tried := !e.heads.refuse(s.ID, e.now())
	if tried {
		req.Method = http.MethodHead
		resp, err = s.Fetcher.Fetch(ctx, req)
		if err == nil {
			if !e.heads.answer(s.ID) { // written seldom: answers are many
				e.heads.known.Store(s.ID, time.Time{})
			}
			return resp, false, nil
		}
		if !unheard(err, e.heads.answer(s.ID)) {
			return nil, false, err
		}
	}
	req.Method = http.MethodGet
	resp, err = s.Fetcher.Fetch(ctx, req)
	if err == nil && tried {
		e.heads.known.Store(s.ID, e.now())
	}
	return resp, true, err
}

// unheard reports a refusal that may be about the method alone. Of an upstream that
// answers HEAD, 404 is none.
func unheard(err error, answers bool) bool {
	var far *upstream.Error
	if !errors.As(err, &far) {
		return false
	}
	switch far.Status {
	case http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return true
	case http.StatusNotFound:
		return !answers
	}
	return false
}
