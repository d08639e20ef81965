package watermark

import (
	"context"
	"errors"
	"io"
	"testing"

	"larder/cache"
)

func TestWaitOfAStateThatIsReached(t *testing.T) {
	cause := errors.New("upstream hung up")
	cases := []struct {
		name     string
		set      func(*Mark)
		off, end int64
		n        int64
		err      error
	}{
		{"bytes before the tail", func(m *Mark) { m.Grow(cache.HoldBack + 10) }, 4, -1, 6, nil},
		{"bounded by the range", func(m *Mark) { m.Grow(cache.HoldBack + 10) }, 4, 7, 3, nil},
		{"all once verified", func(m *Mark) { m.Grow(10); m.Verified() }, 0, -1, 10, nil},
		{"end of verified", func(m *Mark) { m.Grow(10); m.Verified() }, 10, -1, 0, io.EOF},
		{"end of a verified range", func(m *Mark) { m.Grow(10); m.Verified() }, 5, 5, 0, io.EOF},
		{"beyond the end", func(m *Mark) { m.Grow(10); m.Verified() }, 99, -1, 0, io.EOF},
		{"empty", (*Mark).Verified, 0, -1, 0, io.EOF},
		{"given up", func(m *Mark) { m.Grow(1 << 20); m.Fail(cause) }, 0, -1, 0, cause},
		{"given up without a cause", func(m *Mark) { m.Fail(nil) }, 0, -1, 0, cache.ErrAborted},
		{"the first cause stays", func(m *Mark) { m.Fail(cause); m.Fail(io.EOF) }, 0, -1, 0, cause},
		{"given up after it was verified", func(m *Mark) { m.Grow(10); m.Verified(); m.Fail(cause) }, 3, -1, 7, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var m Mark
			c.set(&m)
			n, err := m.Wait(t.Context(), c.off, c.end)
			if n != c.n || !errors.Is(err, c.err) {
				t.Errorf("Wait(%d, %d) = %d, %v; want %d, %v", c.off, c.end, n, err, c.n, c.err)
			}
		})
	}
}

func TestWaitIsWokenByEachChange(t *testing.T) {
	cause := errors.New("cut")
	cases := []struct {
		name   string
		change func(*Mark)
		n      int64
		err    error
	}{
		{"grown past the tail", func(m *Mark) { m.Grow(cache.HoldBack + 1) }, 1, nil},
		{"verified", (*Mark).Verified, 5, nil},
		{"failed", func(m *Mark) { m.Fail(cause) }, 0, cause},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var m Mark
			m.Grow(5)
			const waiters = 8
			got := make(chan error, waiters)
			for range waiters {
				go func() {
					n, err := m.Wait(t.Context(), 0, -1)
					if n != c.n {
						err = errors.Join(err, errors.New("wrong count"))
					}
					got <- err
				}()
			}
			c.change(&m)
			for range waiters {
				if err := <-got; !errors.Is(err, c.err) {
					t.Errorf("got %v, want %v", err, c.err)
				}
			}
		})
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	var m Mark
	gone := errors.New("client left")
	ctx, cancel := context.WithCancelCause(t.Context())
	got := make(chan error, 1)
	go func() {
		_, err := m.Wait(ctx, 0, -1)
		got <- err
	}()
	cancel(gone)
	if err := <-got; !errors.Is(err, gone) {
		t.Errorf("got %v, want %v", err, gone)
	}
}
