package registry

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"larder/upstream"
)

// heads remembers of upstreams, by id, whether they answer HEAD: true or false,
// or nothing as long as that is not known. The zero value is ready to use.
type heads struct{ answered sync.Map }

func (h *heads) is(id string, answers bool) bool {
	known, ok := h.answered.Load(id)
	return ok && known.(bool) == answers
}

// note writes seldom: it is called with every answer.
func (h *heads) note(id string, answers bool) {
	if !h.is(id, answers) {
		h.answered.Store(id, answers)
	}
}

// headed asks by HEAD, and where an upstream does not do that, by GET: whole says
// that the answer came that way, with its body. An upstream that has answered no
// HEAD yet is not believed that something is missing. The caller closes the body.
// Errors: those of upstream.
func (e *Engine) headed(ctx context.Context, s Source, req upstream.Request) (resp *upstream.Response, whole bool, err error) {
	if !e.heads.is(s.ID, false) {
		req.Method = http.MethodHead
		resp, err = s.Fetcher.Fetch(ctx, req)
		if err == nil {
			e.heads.note(s.ID, true)
			return resp, false, nil
		}
		if !unheard(err) || e.heads.is(s.ID, true) {
			return nil, false, err
		}
	}
	req.Method = http.MethodGet
	resp, err = s.Fetcher.Fetch(ctx, req)
	if err == nil {
		e.heads.note(s.ID, false)
	}
	return resp, true, err
}

// unheard reports a refusal that may be about the method alone.
func unheard(err error) bool {
	var far *upstream.Error
	if !errors.As(err, &far) {
		return false
	}
	switch far.Status {
	case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return true
	}
	return false
}
