package registry

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/gzip"

	"larder/cache"
	"larder/formats"
	"larder/upstream"
)

// incoming is the body of an upstream's reply.
type incoming struct {
	io.Reader
	size     int64 // bytes announced, or -1
	unstored bool  // it is to be kept in memory
}

// spool is where a document's bytes go as they come: kept in memory up to max,
// and in the store if there is a partial.
type spool struct {
	partial cache.Partial // nil: memory only, and more than max bytes are an error
	kept    bytes.Buffer
	max     int
	size    int64
}

func (s *spool) Write(p []byte) (int, error) {
	s.size += int64(len(p))
	if s.partial == nil && s.size > int64(s.max) {
		return 0, fmt.Errorf("a document of more than %d bytes: %w", s.max, cache.ErrFull)
	}
	if room := s.max - s.kept.Len(); room > 0 {
		s.kept.Write(p[:min(room, len(p))]) // a bytes.Buffer never fails
	}
	if s.partial == nil {
		return len(p), nil
	}
	return s.partial.Write(p)
}

func (s *spool) abort() {
	if s.partial != nil {
		s.partial.Abort(nil)
	}
}

// inspect reads all of a body into sink, lets the format check the decoded
// bytes and returns their SHA-256. Errors: errNonsense, those of upstream and
// of the sink.
func inspect(in incoming, sink io.Writer, encoding string, d formats.Document) (string, error) {
	raw := &noting{from: io.TeeReader(&bounded{&exactly{in.Reader, in.size}, maxTransport}, sink)}
	identity, err := check(raw, encoding, d)
	switch known := (*upstream.Error)(nil); {
	case err == nil:
		return identity, nil
	case raw.err == nil:
		// Not %w: what a format finds wrong is the upstream's fault, whatever
		// it would be in a request.
		return "", fmt.Errorf("%w: %v", errNonsense, err)
	case errors.As(raw.err, &known), errors.Is(raw.err, upstream.ErrTimeout), unstorable(raw.err),
		errors.Is(raw.err, context.Canceled):
		return "", raw.err
	}
	return "", fmt.Errorf("%w: %v", errNonsense, raw.err)
}

func check(raw io.Reader, encoding string, d formats.Document) (string, error) {
	decoded, err := decode(raw, encoding)
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	all := io.TeeReader(&bounded{decoded, maxDocument}, sum)
	if d.Check != nil {
		if err := d.Check(all); err != nil {
			return "", err
		}
	}
	if _, err := io.Copy(io.Discard, all); err != nil {
		return "", err
	}
	if _, err := io.Copy(io.Discard, raw); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func decode(r io.Reader, encoding string) (io.Reader, error) {
	switch encoding {
	case "":
		return r, nil
	case "gzip":
		return gzip.NewReader(r)
	}
	return nil, fmt.Errorf("content encoding %q was not asked for", encoding)
}

// noting remembers the first failure of a reader, which whoever reads through
// it may word anew.
type noting struct {
	from io.Reader
	err  error
}

func (n *noting) Read(p []byte) (int, error) {
	got, err := n.from.Read(p)
	if err != nil && err != io.EOF && n.err == nil {
		n.err = err
	}
	return got, err
}

// alert ends a body that is silent for too long.
type alert struct {
	from  io.Reader
	stall time.Duration
	end   func()
}

func (a *alert) Read(p []byte) (int, error) {
	timer := time.AfterFunc(a.stall, a.end)
	n, err := a.from.Read(p)
	if !timer.Stop() && err != nil {
		err = fmt.Errorf("no byte within %s: %w", a.stall, upstream.ErrTimeout)
	}
	return n, err
}

// bounded fails, instead of ending, where a reader passes its limit.
type bounded struct {
	from io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		return 0, errors.New("larger than the limit for documents")
	}
	return n, err
}

// exactly turns an early end of an announced length into an error.
type exactly struct {
	from io.Reader
	left int64 // negative: not announced
}

func (x *exactly) Read(p []byte) (int, error) {
	n, err := x.from.Read(p)
	if x.left >= 0 {
		x.left = max(0, x.left-int64(n))
		if err == io.EOF && x.left > 0 {
			return n, io.ErrUnexpectedEOF
		}
	}
	return n, err
}
