package disk_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
)

// holdEnv names the folder that a child of this test binary shall hold.
const holdEnv = "LARDER_DISK_TEST_HOLD"

// TestMain is the other process of the tests that need one, if it was asked to be.
func TestMain(m *testing.M) {
	if root := os.Getenv(holdEnv); root != "" {
		if err := hold(root); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// heldSession is what the child writes beside it: heldBytes, which it saves, and
// then more.
const heldSession = "HELD"

func heldBytes() []byte { return body("held", 70_000) }

// hold opens the folder, begins a write and a session, says so with the state
// of the session, and waits for its end.
func hold(root string) error {
	s, err := openSmall(root, nil)
	if err != nil {
		return err
	}
	p, err := s.Begin(context.Background(), -1)
	if err != nil {
		return err
	}
	if _, err := p.Write(make([]byte, 100_000)); err != nil {
		return err
	}
	x, err := s.BeginSession(context.Background(), heldSession)
	if err != nil {
		return err
	}
	if _, err := x.Write(heldBytes()); err != nil {
		return err
	}
	state, err := x.Save(context.Background())
	if err != nil {
		return err
	}
	if _, err := x.Write([]byte("never saved")); err != nil {
		return err
	}
	fmt.Printf("held %x\n", state)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// holder is a process that holds a folder.
type holder struct {
	cmd   *exec.Cmd
	in    io.Closer
	state []byte // of heldSession
}

// startHolder returns once the folder is held.
func startHolder(t *testing.T, root string) *holder {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), holdEnv+"="+root)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h := &holder{cmd: cmd, in: in}
	t.Cleanup(func() { _ = h.kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if _, scanErr := fmt.Sscanf(line, "held %x\n", &h.state); err != nil || scanErr != nil {
		t.Fatalf("the other process says %q: %v, %v", line, err, scanErr)
	}
	return h
}

// leave lets the process end by itself.
func (h *holder) leave() error {
	if err := h.in.Close(); err != nil {
		return err
	}
	return h.cmd.Wait()
}

// kill ends it as a crash would; what Wait says of that is no error of the test.
func (h *holder) kill() error {
	if err := h.cmd.Process.Kill(); err != nil {
		return err
	}
	_, _ = h.cmd.Process.Wait()
	return nil
}
