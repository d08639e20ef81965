package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"time"

	"larder/cmd/bench/process"
)

// loadThreads are wrk's own; more would take the cores from the servers.
const loadThreads = 1

// load is what one run of wrk found.
type load struct {
	requests int
	rate     float64       // per second
	p50, p99 time.Duration // of one request
	cpu      time.Duration // per request, of the server's processes
}

// drive lets wrk ask a server for one path.
func (b *bench) drive(ctx context.Context, s *server, path string) (load, error) {
	wrk, err := needed("wrk")
	if err != nil {
		return load{}, err
	}
	before, err := process.CPU(s.ID())
	if err != nil {
		return load{}, err
	}
	out, err := exec.CommandContext(ctx, wrk, "--latency", "-t", strconv.Itoa(loadThreads),
		"-c", strconv.Itoa(b.connections), "-d", fmt.Sprintf("%.0fs", max(1, b.duration.Seconds())), s.url+path).CombinedOutput()
	if err != nil {
		return load{}, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	after, err := process.CPU(s.ID())
	if err != nil {
		return load{}, err
	}
	l, err := parseLoad(string(out))
	if err != nil {
		return load{}, err
	}
	l.cpu = (after - before) / time.Duration(l.requests)
	return l, nil
}

// parseLoad reads what wrk prints. A reply that is no success makes the whole
// load worthless.
func parseLoad(text string) (load, error) {
	for _, bad := range []string{`Non-2xx or 3xx responses: .*`, `Socket errors: .*`} {
		if found := regexp.MustCompile(bad).FindString(text); found != "" {
			return load{}, fmt.Errorf("wrk found %s", found)
		}
	}
	field := func(pattern string) string {
		if found := regexp.MustCompile(pattern).FindStringSubmatch(text); found != nil {
			return found[1]
		}
		return ""
	}
	var l load
	var errs [4]error
	l.requests, errs[0] = strconv.Atoi(field(`(\d+) requests in`))
	l.rate, errs[1] = strconv.ParseFloat(field(`Requests/sec: +([\d.]+)`), 64)
	l.p50, errs[2] = time.ParseDuration(field(`50% +([\d.]+[mu]?s)`))
	l.p99, errs[3] = time.ParseDuration(field(`99% +([\d.]+[mu]?s)`))
	for _, err := range errs {
		if err != nil {
			return load{}, fmt.Errorf("wrk printed something unexpected (%w):\n%s", err, text)
		}
	}
	if l.requests == 0 {
		return load{}, fmt.Errorf("wrk made no request:\n%s", text)
	}
	return l, nil
}
