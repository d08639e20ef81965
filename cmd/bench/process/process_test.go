package process

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// limit is far beyond what any of these processes needs.
const limit = time.Minute

func run(t *testing.T, script string) (*Process, string) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	p, err := Start(Options{Program: "/bin/sh", Args: []string{"-c", script}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	return p, log
}

func TestReadyThenStop(t *testing.T) {
	p, log := run(t, `trap 'exit 0' TERM; echo plain; echo '{"level":"info","message":"ready"}'; while :; do sleep 0.05; done`)
	if err := p.Ready(limit); err != nil {
		t.Fatal(err)
	}
	if now, peak, err := Memory(p.ID()); err != nil || now <= 0 || peak < now {
		t.Errorf("memory %d, at most %d: %v", now, peak, err)
	}
	if mine, err := Anonymous(p.ID()); err != nil || mine <= 0 {
		t.Errorf("anonymous memory %d: %v", mine, err)
	}
	if err := p.Stop(limit); err != nil {
		t.Errorf("stop: %v", err)
	}
	if _, err := Anonymous(p.ID()); err == nil {
		t.Error("a process that ended has memory")
	}
	if text, err := os.ReadFile(log); err != nil || !strings.HasPrefix(string(text), "plain\n{") {
		t.Errorf("log %q, %v", text, err)
	}
}

// TestSharedLog: what an earlier child said does not make a later one ready, and
// what is said just before the end is heard.
func TestSharedLog(t *testing.T) {
	first, log := run(t, `echo '{"message":"ready"}'`)
	if err := first.Ready(limit); err != nil {
		t.Fatal(err)
	}
	if err := first.Kill(); !errors.Is(err, ErrEnded) {
		t.Errorf("the first goes on: %v", err)
	}
	second, err := Start(Options{Program: "/bin/sh", Args: []string{"-c", "exit 3"}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Ready(limit); !errors.Is(err, ErrEnded) {
		t.Errorf("the second: %v", err)
	}
	third, err := Start(Options{Program: "/bin/sh", Args: []string{"-c", `printf '{"mess'; sleep 0.05; echo 'age":"ready"}'`}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	<-third.done
	if err := third.Ready(limit); err != nil {
		t.Errorf("a line in two pieces: %v", err)
	}
}

func TestEndings(t *testing.T) {
	p, _ := run(t, "exit 3")
	if err := p.Ready(limit); !errors.Is(err, ErrEnded) {
		t.Errorf("ready: %v", err)
	}
	if err := p.Kill(); !errors.Is(err, ErrEnded) {
		t.Errorf("kill after the end: %v", err)
	}
	p, _ = run(t, "exec sleep 100")
	if err := p.Ready(time.Millisecond); !errors.Is(err, ErrTimeout) {
		t.Errorf("ready of a silent one: %v", err)
	}
	if err := p.Kill(); err != nil {
		t.Errorf("kill: %v", err)
	}
	p, _ = run(t, `trap '' TERM; echo '{"message":"ready"}'; while :; do sleep 0.05; done`)
	if err := p.Ready(limit); err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(50 * time.Millisecond); !errors.Is(err, ErrTimeout) {
		t.Errorf("stop of a deaf one: %v", err)
	}
}

func TestCPUCountsDescendants(t *testing.T) {
	p, _ := run(t, `trap 'kill $child; exit 0' TERM
		(while :; do :; done) & child=$!
		echo '{"message":"ready"}'; wait`)
	if err := p.Ready(limit); err != nil {
		t.Fatal(err)
	}
	for {
		used, err := CPU(p.ID())
		if err != nil {
			t.Fatal(err)
		}
		if used >= 5*tick {
			break
		}
		time.Sleep(tick)
	}
	if err := p.Stop(limit); err != nil {
		t.Error(err)
	}
	if _, err := CPU(p.ID()); err == nil {
		t.Error("a process that ended has no processor time")
	}
}

func TestParseStat(t *testing.T) {
	id, parent, ticks, err := parseStat("12 (a b) c) S 7 12 12 0 -1 4194560 1 0 0 0 30 12 0 0 20 0 1 0")
	if err != nil || id != 12 || parent != 7 || ticks != 42 {
		t.Errorf("got %d, %d, %d, %v", id, parent, ticks, err)
	}
	for _, bad := range []string{"", "12 S 7", "12 (x) S 7", "x (x) S 7 1 1 0 -1 1 1 0 0 0 30 12", "1 (x) S 7 1 1 0 -1 1 1 0 0 0 x 12"} {
		if _, _, _, err := parseStat(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}
