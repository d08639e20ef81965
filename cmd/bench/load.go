package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"larder/cmd/bench/process"
)

// loadThreads are wrk's own; more would take the cores from the servers.
const loadThreads = 1

// target is what a load asks for, over and over.
type target struct {
	path   string        // with two %d or their like where several paths are asked at random
	paths  int           // how many; 0 is one path without a number
	size   int64         // bytes of each body
	header string        // sent with every request, "Name: value"; "" for none
	pause  time.Duration // of a connection between two requests, on average
	last   time.Duration // of the load, whole seconds; 0 is what the command line says
}

// load is what one run of wrk found.
type load struct {
	requests int
	bytes    float64       // received, with the heads
	rate     float64       // per second
	p50, p99 time.Duration // of one request
	cpu      time.Duration // per request, of the server's processes
}

// script lets wrk choose among paths and pause between requests. wrk pauses
// whole milliseconds, so what is left of one pause is added to the next.
const script = `local pattern, paths, mean, owed = "", 0, 0, 0
function init(args)
  pattern, paths, mean = args[1], tonumber(args[2]), tonumber(args[3])
  math.randomseed(1)
  if paths > 0 then
    request = function()
      local i = math.random(0, paths - 1)
      return wrk.format("GET", string.format(pattern, i, i))
    end
  end
  if mean > 0 then
    delay = function()
      owed = owed + 2 * mean * math.random()
      local whole = math.floor(owed)
      owed = owed - whole
      return whole
    end
  end
end
`

// drive lets wrk load a server, as fast as it goes unless t pauses.
func (b *bench) drive(ctx context.Context, s *server, t target) (load, error) {
	args, err := b.wrkArgs(s, t)
	if err != nil {
		return load{}, err
	}
	before, err := process.CPU(s.ID())
	if err != nil {
		return load{}, err
	}
	out, err := exec.CommandContext(ctx, "wrk", args...).CombinedOutput()
	if err != nil {
		return load{}, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	after, err := process.CPU(s.ID())
	if err != nil {
		return load{}, err
	}
	l, err := parseLoad(string(out))
	if err == nil {
		err = l.check(t.size, b.connections)
	}
	if err != nil {
		return load{}, fmt.Errorf("load of %s: %w", t.path, err)
	}
	l.cpu = (after - before) / time.Duration(l.requests)
	return l, nil
}

func (b *bench) wrkArgs(s *server, t target) ([]string, error) {
	if _, err := needed("wrk"); err != nil {
		return nil, err
	}
	args := []string{
		"--latency", "-t", strconv.Itoa(loadThreads), "-c", strconv.Itoa(b.connections),
		"-d", fmt.Sprintf("%.0fs", max(1, cmp.Or(t.last, b.duration).Seconds())),
	}
	if t.header != "" {
		args = append(args, "-H", t.header)
	}
	if t.paths == 0 && t.pause == 0 {
		return append(args, s.url+t.path), nil
	}
	file := filepath.Join(b.dir, "load.lua")
	if err := os.WriteFile(file, []byte(script), 0o644); err != nil {
		return nil, err
	}
	url := s.url + t.path
	if t.paths > 0 {
		url = s.url + "/"
	}
	return append(args, "-s", file, url, "--", t.path, strconv.Itoa(t.paths), fmt.Sprintf("%.3f", float64(t.pause)/float64(time.Millisecond))), nil
}

// headBytes is more than the head of any reply here.
const headBytes = 4 << 10

// check wants of every reply the whole body and no more: an error page is
// answered fast. What was on its way when the load ended may be beyond, once
// for every connection; wrk rounds the sum to a hundredth of its unit.
func (l load) check(size int64, connections int) error {
	least := float64(l.requests) * float64(size)
	most := float64(l.requests+connections) * float64(size+headBytes)
	if l.bytes < 0.99*least || l.bytes > 1.01*most {
		return fmt.Errorf("%d replies of %d bytes came as %.0f bytes", l.requests, size, l.bytes)
	}
	return nil
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
	var errs [5]error
	l.requests, errs[0] = strconv.Atoi(field(`(\d+) requests in`))
	l.rate, errs[1] = strconv.ParseFloat(field(`Requests/sec: +([\d.]+)`), 64)
	l.p50, errs[2] = time.ParseDuration(field(`50% +([\d.]+[mu]?s)`))
	l.p99, errs[3] = time.ParseDuration(field(`99% +([\d.]+[mu]?s)`))
	l.bytes, errs[4] = wrkBytes(field(`requests in [\d.]+\w+, ([\d.]+[KMGT]?B) read`))
	if err := errors.Join(errs[:]...); err != nil {
		return load{}, fmt.Errorf("wrk printed something unexpected (%w):\n%s", err, text)
	}
	if l.requests == 0 {
		return load{}, fmt.Errorf("wrk made no request:\n%s", text)
	}
	return l, nil
}

// wrkBytes reads a size as wrk writes it, such as 70.11MB, in powers of 1024.
func wrkBytes(text string) (float64, error) {
	var n float64
	var unit string
	if _, err := fmt.Sscanf(text, "%f%s", &n, &unit); err != nil {
		return 0, fmt.Errorf("size %q: %w", text, err)
	}
	factor, ok := map[string]float64{"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30, "TB": 1 << 40}[unit]
	if !ok {
		return 0, fmt.Errorf("size %q has an unknown unit", text)
	}
	return n * factor, nil
}
