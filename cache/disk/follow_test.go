package disk_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"

	"larder/cache"
)

// sink takes what the kernel could send, and notes what it was given.
type sink struct {
	bytes.Buffer
	files, others int
}

func (s *sink) ReadFrom(r io.Reader) (int64, error) {
	limited, ok := r.(*io.LimitedReader)
	if ok {
		_, ok = limited.R.(*os.File)
	}
	if ok {
		s.files++
	} else {
		s.others++
	}
	return s.Buffer.ReadFrom(r)
}

// TestFollowersSendFiles shows that all bytes of a follower, whole or in part,
// reach an io.ReaderFrom as a limited *os.File: what sendfile takes.
func TestFollowersSendFiles(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	b := body("sendfile", 5*cache.HoldBack)
	p, err := s.Begin(t.Context(), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Abort(nil)
	type result struct {
		sink *sink
		n    int64
		err  error
	}
	parts := [][2]int64{{0, -1}, {1000, 300_000}}
	results := make([]chan result, len(parts))
	for i, part := range parts {
		f, err := p.Follow(t.Context(), part[0], part[1])
		if err != nil {
			t.Fatal(err)
		}
		results[i] = make(chan result, 1)
		go func() {
			var to sink
			n, err := io.Copy(&to, f)
			results[i] <- result{&to, n, errors.Join(err, f.Close())}
		}()
	}
	for rest := b; len(rest) > 0; rest = rest[min(len(rest), 40_000):] {
		if _, err := p.Write(rest[:min(len(rest), 40_000)]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Verify(); err != nil {
		t.Fatal(err)
	}
	for i, want := range [][]byte{b, b[1000:301_000]} {
		got := <-results[i]
		if got.err != nil || got.n != int64(len(want)) || !bytes.Equal(got.sink.Bytes(), want) {
			t.Errorf("part %v: %d bytes, %v", parts[i], got.n, got.err)
		}
		if got.sink.files == 0 || got.sink.others > 0 {
			t.Errorf("part %v: %d times a file, %d times something else", parts[i], got.sink.files, got.sink.others)
		}
	}
}

// TestFollowersOverTCP sends a growing file through a real connection.
func TestFollowersOverTCP(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	b := body("tcp", 3<<20)
	p, err := s.Begin(t.Context(), -1)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Abort(nil)
	sent := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			sent <- err
			return
		}
		f, err := p.Follow(t.Context(), 0, -1)
		if err == nil {
			_, err = f.(io.WriterTo).WriteTo(conn)
			err = errors.Join(err, f.Close())
		}
		sent <- errors.Join(err, conn.Close())
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	for rest := b; len(rest) > 0; rest = rest[min(len(rest), 256<<10):] {
		if _, err := p.Write(rest[:min(len(rest), 256<<10)]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Verify(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(conn)
	if err := errors.Join(err, <-sent); err != nil || !bytes.Equal(got, b) {
		t.Errorf("%d bytes of %d came: %v", len(got), len(b), err)
	}
}

// TestFollowCut follows a file that somebody cuts: the mark promised bytes that
// are not there, and that must not look like the end.
func TestFollowCut(t *testing.T) {
	root := t.TempDir()
	s := open(t, root, nil)
	b := body("cut", 100_000)
	for _, byRead := range []bool{true, false} {
		p, err := s.Begin(t.Context(), int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Write(b); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Verify(); err != nil {
			t.Fatal(err)
		}
		f, err := p.Follow(t.Context(), 0, -1)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(blobPath(root, digestOf(b)), 500); err != nil {
			t.Fatal(err)
		}
		src := io.Reader(f)
		if byRead {
			src = struct{ io.Reader }{f}
		}
		if n, err := io.Copy(io.Discard, src); n != 500 || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("by Read %t: %d bytes, %v", byRead, n, err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestOpensFiles holds what the edge relies on to send hits.
func TestOpensFiles(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	b := body("file", 1000)
	p, err := s.Begin(t.Context(), int64(len(b)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write(b); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Verify(); err != nil {
		t.Fatal(err)
	}
	check := func(f io.ReadSeekCloser, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := f.(*os.File); !ok {
			t.Errorf("opened a %T", f)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	check(p.Open())
	if err := p.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(p.Open())
	check(s.Open(t.Context(), digestOf(b)))
}
