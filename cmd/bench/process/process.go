// Package process runs a server as a child process, for stories that kill it
// and measurements that weigh it.
package process

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// Options say what to run.
type Options struct {
	Program string
	Args    []string
	Env     []string // nil is that of this process
	Dir     string
	Log     string // file that the output is appended to
}

// Process is a running child. Its methods may be called concurrently.
type Process struct {
	cmd   *exec.Cmd
	ready chan struct{} // closed by the ready line
	done  chan struct{} // closed when the child has ended
	err   error         // how it ended, valid after done
}

// The ways a wait can end.
var (
	// ErrEnded means that the child ended by itself.
	ErrEnded = errors.New("the process ended")
	// ErrTimeout means that it took too long.
	ErrTimeout = errors.New("the process took too long")
)

// Start starts a child.
func Start(o Options) (*Process, error) {
	log, err := os.OpenFile(o.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", o.Program, err)
	}
	p := &Process{
		cmd:   exec.Command(o.Program, o.Args...),
		ready: make(chan struct{}),
		done:  make(chan struct{}),
	}
	reader, writer := io.Pipe()
	p.cmd.Env, p.cmd.Dir = o.Env, o.Dir
	p.cmd.Stdout, p.cmd.Stderr = writer, writer
	if err := p.cmd.Start(); err != nil {
		log.Close()
		return nil, fmt.Errorf("start %s: %w", o.Program, err)
	}
	var drained sync.WaitGroup
	drained.Go(func() { p.watch(reader, log) })
	go func() {
		p.err = p.cmd.Wait()
		writer.Close()
		drained.Wait()
		log.Close()
		close(p.done)
	}()
	return p, nil
}

// watch copies the output to the log and looks for the ready line, a JSON
// object with the message "ready".
func (p *Process) watch(output io.Reader, log io.Writer) {
	ready, in := false, bufio.NewReaderSize(output, 64<<10)
	for {
		line, err := in.ReadSlice('\n')
		// What cannot be logged must not stop the child.
		_, _ = log.Write(line)
		var said struct{ Message string }
		if !ready && json.Unmarshal(line, &said) == nil && said.Message == "ready" {
			ready = true
			close(p.ready)
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// Ready waits for the ready line. Errors: ErrEnded, ErrTimeout.
func (p *Process) Ready(limit time.Duration) error {
	select {
	case <-p.ready:
		return nil
	case <-p.done:
		return fmt.Errorf("%w before it was ready: %v", ErrEnded, p.err)
	case <-time.After(limit):
		return fmt.Errorf("%w to get ready: more than %s", ErrTimeout, limit)
	}
}

// Kill ends the child with SIGKILL and waits for its end. It reports ErrEnded
// when the child had ended before.
func (p *Process) Kill() error {
	// Failing to signal means that it has ended, which is looked at below.
	_ = p.cmd.Process.Kill()
	<-p.done
	var exit *exec.ExitError
	if errors.As(p.err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signal() == syscall.SIGKILL {
			return nil
		}
	}
	return fmt.Errorf("%w before it was killed: %v", ErrEnded, p.err)
}

// Stop ends the child with SIGTERM and reports how it ended: nil is exit
// status 0. A child that does not end is killed: ErrTimeout.
func (p *Process) Stop(limit time.Duration) error {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return fmt.Errorf("%w before it was told to: %v", ErrEnded, err)
	}
	select {
	case <-p.done:
		return p.err
	case <-time.After(limit):
		// The time-out is what the caller must hear of.
		_ = p.Kill()
		return fmt.Errorf("%w to end: more than %s", ErrTimeout, limit)
	}
}

// ID returns the process id.
func (p *Process) ID() int { return p.cmd.Process.Pid }
