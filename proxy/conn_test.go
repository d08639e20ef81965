package proxy

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"testing"

	"larder/formats"
)

// A write of the head alone would wake the client for nothing.
func TestHeadAndBodyLeaveTogether(t *testing.T) {
	for _, tt := range []struct {
		name   string
		size   int64
		file   bool
		writes int64 // of net/http's, that were not joined with another
	}{
		{name: "small body", size: 1 << 10, writes: 1},
		{name: "body that fits net/http's buffer", size: headRoom, writes: 2}, // the end comes by net/http's last flush
		{name: "larger body", size: 64 << 10, writes: 0},
		{name: "file", size: 1 << 20, file: true, writes: 0},
		{name: "large file", size: joinFile + 1, file: true, writes: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.file && runtime.GOOS != "linux" {
				tt.writes = 1 // sendMore is Linux's
			}
			path := bigFile(t, tt.size)
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(t, nil)
			w.serveFile(path)
			if !tt.file {
				w.serve = func(formats.File) (*formats.Content, error) {
					return &formats.Content{Bytes: want, Size: tt.size, MediaType: "application/octet-stream", Immutable: true}, nil
				}
			}
			addr, l := live(t, w.handler, ServerOptions{})
			for range 3 { // over one connection: nothing may be left from one to the next
				before := l.writes.Load()
				resp, err := http.Get("http://" + addr + "/pad/a/1")
				if err != nil {
					t.Fatal(err)
				}
				if got := text(t, resp); got != string(want) {
					t.Fatalf("%d bytes came, other than the %d sent", len(got), len(want))
				}
				if n := l.writes.Load() - before; n != tt.writes {
					t.Errorf("%d writes of their own, want %d", n, tt.writes)
				}
			}
		})
	}
}

// pipe returns both ends of a TCP connection, ours as conn.
func pipe(t *testing.T) (ours *conn, theirs net.Conn) {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	theirs, err = net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { theirs.Close() })
	c, err := listener{inner}.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*conn), theirs
}

func TestConnHoldsOneShortWrite(t *testing.T) {
	ours, theirs := pipe(t)
	want := bytes.Repeat([]byte("body"), 5000)
	write := func(p []byte) {
		t.Helper()
		if n, err := ours.Write(p); n != len(p) || err != nil {
			t.Fatalf("Write of %d bytes = %d, %v", len(p), n, err)
		}
	}
	release := func() {
		t.Helper()
		if err := ours.release(); err != nil {
			t.Fatal(err)
		}
	}
	ours.join()
	write([]byte("a"))
	if string(ours.held) != "a" {
		t.Errorf("held %q, want the first write", ours.held)
	}
	write(want)
	release()
	ours.join()
	write([]byte("b")) // nothing behind it
	release()
	ours.join()
	release() // nothing at all
	write([]byte("c"))
	if len(ours.held) > 0 {
		t.Errorf("%q is held after release", ours.held)
	}
	ours.join()
	write(want[:headRoom+1]) // too long to wait
	if len(ours.held) > 0 {
		t.Errorf("%d bytes are held, more than headRoom", len(ours.held))
	}
	release()
	if err := ours.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(theirs)
	if err != nil {
		t.Fatal(err)
	}
	if all := "a" + string(want) + "bc" + string(want[:headRoom+1]); string(got) != all {
		t.Errorf("%d bytes came, want %d in the order written", len(got), len(all))
	}
}

// A head that the kernel has no room for waits like any write.
func TestHeadBeforeFileWaitsForRoom(t *testing.T) {
	ours, theirs := pipe(t)
	full := 0
	for chunk := make([]byte, 64<<10); ; {
		n, err := sendMore(ours.raw, chunk)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		full += n
	}
	got := make(chan []byte, 1)
	ours.join()
	head := bytes.Repeat([]byte("h"), headRoom)
	if _, err := ours.Write(head); err != nil {
		t.Fatal(err)
	}
	go func() {
		all, err := io.ReadAll(theirs)
		if err != nil {
			t.Error(err)
		}
		got <- all
	}()
	if _, err := ours.ReadFrom(bytes.NewReader([]byte("file"))); err != nil {
		t.Fatal(err)
	}
	if err := ours.release(); err != nil {
		t.Fatal(err)
	}
	if err := ours.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if all := <-got; string(all[full:]) != string(head)+"file" {
		t.Errorf("%d bytes came behind %d, want head and file", len(all)-full, full)
	}
}

func TestConnTellsOfBrokenPeers(t *testing.T) {
	ours, theirs := pipe(t)
	if err := theirs.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	if _, err := io.Copy(io.Discard, ours); err == nil {
		t.Fatal("the connection is not reset")
	}
	ours.join()
	if _, err := ours.Write([]byte("head")); err != nil {
		t.Fatalf("a write that is held = %v", err)
	}
	if n, err := ours.ReadFrom(bytes.NewReader([]byte("file"))); err == nil {
		t.Errorf("ReadFrom = %d and no error on a broken connection", n)
	}
	ours.join()
	if _, err := ours.Write([]byte("head")); err != nil {
		t.Fatalf("a write that is held = %v", err)
	}
	if err := ours.release(); err == nil {
		t.Error("release = no error on a broken connection")
	}
}
