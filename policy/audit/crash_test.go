package audit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"larder/cache"
	"larder/cache/badger"
)

// crashEnv names the folder in which a child of this test binary shall write
// until it is killed.
const crashEnv = "LARDER_AUDIT_TEST_CRASH"

// TestMain is the process that is killed, if it was asked to be.
func TestMain(m *testing.M) {
	if dir := os.Getenv(crashEnv); dir != "" {
		fmt.Println(writeForEver(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeForEver makes changes and refusals side by side, and says of each "change"
// or "refusal" with the id once it was acknowledged.
func writeForEver(dir string) error {
	index, err := badger.Open(dir, badger.Options{})
	if err != nil {
		return err
	}
	l := newLog(index, Chain{})
	failed := make(chan error, 9)
	go l.Run(context.Background(), func(err error) { failed <- err })
	var mu sync.Mutex
	say := func(words ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println(words...)
	}
	for range 4 {
		go func() {
			for {
				if err := index.Update(context.Background(), func(w cache.Writer) error {
					return errors.Join(addOne(w), l.Append(context.Background(), w, change(1)))
				}); err != nil {
					failed <- err
				}
				say("change")
			}
		}()
	}
	go func() {
		for i := 0; ; i++ {
			ctx := With(context.Background(), Origin{RequestID: fmt.Sprint(i), Actor: Actor{ID: fmt.Sprint("u", i), Kind: User}})
			id, err := l.Refused(ctx, refusal("left-pad"))
			if err != nil {
				failed <- err
			}
			say("refusal", id)
		}
	}()
	return <-failed
}

// Killed at any time, the log has no gap, tells of every change that is there
// and of no other, and of every refusal that was answered.
func TestKilled(t *testing.T) {
	dir, answered, acknowledged := t.TempDir(), []string{}, uint64(0)
	for _, lines := range []int{1, 40, 400} {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), crashEnv+"="+dir)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		for text := bufio.NewScanner(out); text.Scan(); {
			switch id, refused := strings.CutPrefix(text.Text(), "refusal "); {
			case refused:
				answered = append(answered, id)
			case text.Text() == "change":
				acknowledged++
			default:
				t.Fatalf("the other process says %q", text.Text())
			}
			if lines--; lines == 0 {
				must(t, cmd.Process.Kill())
				_, err = io.Copy(io.Discard, out)
				must(t, err)
				break
			}
		}
		_ = cmd.Wait() // it was killed
		checkSurvivors(t, dir, acknowledged, answered)
	}
}

func checkSurvivors(t *testing.T, dir string, acknowledged uint64, answered []string) {
	t.Helper()
	index, err := badger.Open(dir, badger.Options{})
	must(t, err)
	defer func() { must(t, index.Close()) }()
	report, err := Verify(t.Context(), index)
	must(t, err)
	if report.Fault != nil {
		t.Fatalf("after %d records: %v", report.Records, report.Fault)
	}
	var made, recorded uint64
	must(t, index.View(t.Context(), func(r cache.Reader) (err error) {
		made, err = counted(r)
		return err
	}))
	for _, err := range Export(t.Context(), index, 0, Filter{Decision: Allow}) {
		must(t, err)
		recorded++
	}
	if made != recorded || made < acknowledged {
		t.Errorf("%d changes were acknowledged, %d are there, %d are recorded", acknowledged, made, recorded)
	}
	for _, id := range answered {
		if _, err := Find(t.Context(), index, id); err != nil {
			t.Errorf("answered, then lost: %v", err)
		}
	}
}
