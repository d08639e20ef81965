package registry

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"larder/formats"
	"larder/policy"
	"larder/upstream"
)

// maxAnswer bounds a forwarded answer in bytes, as sent and decoded.
const maxAnswer = 32 << 20

func (b *bound) Forward(ctx context.Context, f formats.Forward) (*formats.Answer, error) {
	if _, err := b.allow(ctx, policy.Read, "", ""); err != nil {
		return nil, err
	}
	sources, err := b.sources(ctx, "", nil)
	if err != nil {
		return nil, err
	}
	if b.narrowed() || len(sources) == 0 {
		return nil, formats.Refuse(formats.ErrNotFound, fmt.Sprintf("the registry %s has no upstream to ask", b.spec.Name))
	}
	if f.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.Timeout)
		defer cancel()
	}
	return b.engine.forward(ctx, sources[0], f)
}

func (e *Engine) forward(ctx context.Context, s Source, f formats.Forward) (*formats.Answer, error) {
	k := forwardKey(s.ID, f)
	kept, have := e.memory.Get(k)
	if have && f.Keep > 0 {
		if a, at := unpackAnswer(kept); within(at, e.now(), f.Keep) {
			return a, nil
		}
	}
	a, err := ask(ctx, s, f, e.opt.Pace.Stall)
	if err != nil {
		if have && !errors.Is(err, upstream.ErrNotExist) {
			if old, at := unpackAnswer(kept); e.now().Sub(at) <= e.opt.Lifetimes.StaleIfError {
				old.Stale = true
				return old, nil
			}
		}
		if errors.Is(err, upstream.ErrNotExist) {
			return nil, errors.Join(formats.Refuse(formats.ErrNotFound, "the upstream "+s.ID+" does not offer this"), err)
		}
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("%w: %w", upstream.ErrTimeout, err)
		}
		return nil, err
	}
	if f.Keep > 0 {
		e.memory.Add(k, packAnswer(a, e.now()))
	}
	return a, nil
}

func ask(ctx context.Context, s Source, f formats.Forward, stall time.Duration) (*formats.Answer, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	resp, err := s.Fetcher.Fetch(ctx, upstream.Request{
		Method: f.Method, Ref: f.Path, Accept: f.Accept, AcceptEncoding: "gzip", Body: f.Body, ContentType: f.ContentType,
	})
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	// Bounded as sent, too: compressed bytes need not decode to any.
	raw := &alert{from: &bounded{resp.Body, maxAnswer}, stall: stall, end: cancel}
	decoded, err := decode(raw, resp.Encoding)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", upstream.ErrUnavailable, err)
	}
	body, err := io.ReadAll(&bounded{decoded, maxAnswer})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", upstream.ErrUnavailable, err)
	}
	return &formats.Answer{MediaType: resp.Header.Get("Content-Type"), Body: body}, nil
}

func forwardKey(id string, f formats.Forward) string {
	h := sha256.New()
	for _, part := range []string{id, f.Method, f.Path, f.Accept, string(f.Body)} {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return "fwd" + string(h.Sum(nil))
}

// packAnswer puts time and media type in front of the body. Its inverse takes
// what it cannot read for an answer of long ago.
func packAnswer(a *formats.Answer, at time.Time) []byte {
	media := a.MediaType[:min(len(a.MediaType), 255)]
	b := binary.BigEndian.AppendUint64(nil, uint64(at.UnixNano()))
	return append(append(append(b, byte(len(media))), media...), a.Body...)
}

func unpackAnswer(b []byte) (*formats.Answer, time.Time) {
	if len(b) < 9 || len(b)-9 < int(b[8]) {
		return &formats.Answer{}, time.Time{}
	}
	at := time.Unix(0, int64(binary.BigEndian.Uint64(b)))
	media, body := b[9:9+int(b[8])], b[9+int(b[8]):]
	return &formats.Answer{MediaType: string(media), Body: body}, at
}
