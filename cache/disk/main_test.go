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

// hold opens the folder, begins a write, says so, and waits for its end.
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
	fmt.Println("held")
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// holder is a process that holds a folder.
type holder struct {
	cmd *exec.Cmd
	in  io.Closer
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
	h := &holder{cmd, in}
	t.Cleanup(func() { _ = h.kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "held\n" {
		t.Fatalf("the other process says %q: %v", line, err)
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
