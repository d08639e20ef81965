package bearer

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"larder/upstream"
)

// renew gets a token in the place of the one that was used, nil for none. All who
// need it at the same time share one request, which does not end when one of them
// goes away.
func (f *Fetcher) renew(ctx context.Context, scope string, where challenge, used *token) (*token, error) {
	flight := f.flights.DoChan(scope+"\n"+where.ask(), func() (any, error) {
		if t, _, _ := f.tokens.get(scope); t != nil && t != used && t.challenge == where && f.options.Now().Before(t.until) {
			return t, nil // somebody was faster
		}
		// For all who wait: the one who came first may leave.
		life, cancel := context.WithTimeout(context.WithoutCancel(ctx), askTime)
		defer cancel()
		t, err := f.ask(life, where)
		if err == nil {
			f.tokens.put(scope, t)
		}
		return t, err
	})
	select {
	case done := <-flight:
		if done.Err != nil {
			return nil, done.Err
		}
		return done.Val.(*token), nil
	case <-ctx.Done():
		err := ctx.Err()
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("%w: %w", upstream.ErrTimeout, err)
		}
		return nil, fmt.Errorf("token for upstream %s: %w", f.id, err)
	}
}

// ask gets a token from its service. A refusal is upstream.ErrNotExist, told to
// the operator; whatever else goes wrong says nothing of what there is.
func (f *Fetcher) ask(ctx context.Context, where challenge) (*token, error) {
	now := f.options.Now()
	trusted := f.client.Trusted(where.realm)
	signs := trusted && !f.guest
	if signs && f.tokens.isShut(now) {
		return nil, fmt.Errorf("upstream %s: its token service has just refused our credential: %w", f.id, upstream.ErrNotExist)
	}
	resp, err := f.client.Fetch(ctx, upstream.Request{Ref: where.ask(), Accept: "application/json", Login: signs})
	if err != nil {
		return nil, f.unanswered(err, where, trusted)
	}
	defer resp.Body.Close()
	if resp.Encoding != "" || resp.Status != http.StatusOK {
		return nil, f.broken(fmt.Errorf("status %d, encoding %q", resp.Status, resp.Encoding))
	}
	text, life, err := readToken(resp.Body)
	if err != nil {
		return nil, f.broken(err)
	}
	if !signs && !f.guest {
		f.alarm(Alarm{Host: where.host(), Scope: where.scope, Reason: "its token service is on another host, which is not shown our credential: name it in allow_hosts if it is theirs"})
	}
	return &token{challenge: where, text: text, got: now, until: now.Add(life * 8 / 10)}, nil
}

// unanswered judges why a token service gave none.
func (f *Fetcher) unanswered(err error, where challenge, trusted bool) error {
	var e *upstream.Error
	if !errors.As(err, &e) {
		return err
	}
	refused := e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden
	switch {
	case errors.Is(err, upstream.ErrNotExist):
		// That there is no such service says nothing of the image.
		return f.broken(errors.New(e.Error()))
	case !refused:
		return fmt.Errorf("token service: %w", err)
	case f.guest:
		return f.hide(err, where.scope, "its token service gives nothing without a credential, and none is configured")
	case !trusted:
		return f.hide(err, where.scope, "its token service is on another host and did not get our credential: name that host in allow_hosts if it is theirs")
	}
	if e.Status == http.StatusUnauthorized {
		f.tokens.shutUntil(f.options.Now().Add(settled))
	}
	return f.hide(err, where.scope, "its token service refuses our credential")
}

// broken says that what a token service answered is of no use.
func (f *Fetcher) broken(cause error) error {
	if errors.Is(cause, upstream.ErrTimeout) {
		return fmt.Errorf("token service of upstream %s: %w", f.id, cause)
	}
	return fmt.Errorf("token service of upstream %s: %w: %w", f.id, upstream.ErrUnavailable, cause)
}
