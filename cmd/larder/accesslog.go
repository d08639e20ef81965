package main

import (
	"io"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Access lines are gathered for a moment: a system call per request would take
// a tenth of the time of a small hit. What is worse than info is written at once.
const (
	accessDelay = 200 * time.Millisecond
	accessBytes = 64 << 10
)

// accessLog is a zerolog.LevelWriter that writes lines in batches.
type accessLog struct {
	out io.Writer

	mu      sync.Mutex
	buf     []byte
	pending bool // a flush is due
}

// Write takes a line without a level.
func (a *accessLog) Write(p []byte) (int, error) { return a.WriteLevel(zerolog.NoLevel, p) }

// WriteLevel takes one line.
func (a *accessLog) WriteLevel(level zerolog.Level, p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.buf = append(a.buf, p...)
	if level > zerolog.InfoLevel || len(a.buf) >= accessBytes {
		return len(p), a.flush()
	}
	if !a.pending {
		a.pending = true
		time.AfterFunc(accessDelay, a.due)
	}
	return len(p), nil
}

func (a *accessLog) due() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.pending = false
	// Where the log cannot be written there is nobody to tell.
	_ = a.flush()
}

// flush writes what is gathered; the caller holds mu.
func (a *accessLog) flush() error {
	if len(a.buf) == 0 {
		return nil
	}
	_, err := a.out.Write(a.buf)
	a.buf = a.buf[:0]
	return err
}

// Close writes the rest.
func (a *accessLog) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.flush()
}
