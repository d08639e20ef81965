// Package process runs a server as a child process, for stories that kill it
// and measurements that weigh it.
package process

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
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

// Start starts a child. It writes to the log itself: copying every line of a
// busy server would cost a part of what is measured.
func Start(o Options) (*Process, error) {
	log, err := os.OpenFile(o.Log, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", o.Program, err)
	}
	from, err := log.Seek(0, io.SeekEnd) // behind what earlier children wrote
	p := &Process{
		cmd:   exec.Command(o.Program, o.Args...),
		ready: make(chan struct{}),
		done:  make(chan struct{}),
	}
	p.cmd.Env, p.cmd.Dir = o.Env, o.Dir
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		log.Close()
		return nil, fmt.Errorf("start %s: %w", o.Program, err)
	}
	ended := make(chan struct{})
	var watched sync.WaitGroup
	watched.Go(func() { p.watch(io.NewSectionReader(log, from, math.MaxInt64-from), ended) })
	go func() {
		p.err = p.cmd.Wait()
		close(ended)
		watched.Wait()
		log.Close()
		close(p.done)
	}()
	return p, nil
}

// The time between two looks at a log that has not grown: at first, and for a
// child that is late or never says that it is ready.
const (
	look     = 2 * time.Millisecond
	late     = 10 * time.Second
	lateLook = 100 * time.Millisecond
)

// watch looks in the log for the ready line, a JSON object with the message
// "ready", until the child has ended.
func (p *Process) watch(log io.Reader, ended <-chan struct{}) {
	var line []byte
	in, last, begin := bufio.NewReader(log), false, time.Now()
	for {
		more, err := in.ReadBytes('\n')
		line = append(line, more...)
		if err == nil {
			var said struct{ Message string }
			if json.Unmarshal(line, &said) == nil && said.Message == "ready" {
				close(p.ready)
				return
			}
			line = line[:0]
			continue
		}
		// The end of the log, so far. Once the child has ended, one more look
		// sees all of it.
		if last || err != io.EOF {
			return
		}
		wait := look
		if time.Since(begin) > late {
			wait = lateLook
		}
		select {
		case <-ended:
			last = true
		case <-time.After(wait):
		}
	}
}

// Ready waits for the ready line. Errors: ErrEnded, ErrTimeout.
func (p *Process) Ready(limit time.Duration) error {
	select {
	case <-p.ready:
		return nil
	case <-p.done:
		select {
		case <-p.ready: // both are so
			return nil
		default:
		}
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
