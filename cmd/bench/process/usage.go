package process

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of processor time in /proc: Linux reports it in hundredths
// of a second on every architecture that larder runs on.
const tick = 10 * time.Millisecond

// CPU returns the processor time that a process and all that descend from it
// have used so far. It works on Linux alone.
func CPU(pid int) (time.Duration, error) {
	parents, used, err := processes()
	if err != nil {
		return 0, err
	}
	if _, ok := parents[pid]; !ok {
		return 0, fmt.Errorf("processor time of process %d: it does not run", pid)
	}
	var total time.Duration
	for id := range parents {
		if descends(parents, id, pid) {
			total += used[id]
		}
	}
	return total, nil
}

func descends(parents map[int]int, id, ancestor int) bool {
	for id > 1 {
		if id == ancestor {
			return true
		}
		id = parents[id]
	}
	return false
}

// processes returns the parent and the processor time of every process.
func processes() (parents map[int]int, used map[int]time.Duration, err error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, nil, fmt.Errorf("list processes: %w", err)
	}
	parents, used = make(map[int]int), make(map[int]time.Duration)
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // it ended meanwhile
		}
		id, parent, ticks, err := parseStat(string(data))
		if err != nil {
			return nil, nil, fmt.Errorf("read %s: %w", file, err)
		}
		parents[id], used[id] = parent, time.Duration(ticks)*tick
	}
	return parents, used, nil
}

// parseStat reads a line of /proc/PID/stat, as proc(5) describes it. The name
// in it may hold spaces and parentheses.
func parseStat(line string) (id, parent, ticks int, err error) {
	open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return 0, 0, 0, fmt.Errorf("no name in %q", line)
	}
	// After the name come state, parent and, as the 12th and 13th of what
	// follows it, the ticks in user and in system mode.
	rest := strings.Fields(line[end+1:])
	if len(rest) < 13 {
		return 0, 0, 0, fmt.Errorf("only %d fields in %q", len(rest), line)
	}
	numbers := [4]int{}
	for i, text := range []string{strings.TrimSpace(line[:open]), rest[1], rest[11], rest[12]} {
		if numbers[i], err = strconv.Atoi(text); err != nil {
			return 0, 0, 0, err
		}
	}
	return numbers[0], numbers[1], numbers[2] + numbers[3], nil
}

// Memory returns the resident memory of a process now and at its highest, in bytes.
func Memory(pid int) (now, peak int64, err error) {
	found, err := status(pid, "VmRSS", "VmHWM")
	if err != nil {
		return 0, 0, fmt.Errorf("memory of process %d: %w", pid, err)
	}
	return found[0], found[1], nil
}

// Anonymous returns the resident memory that is no part of a file, in bytes:
// what the kernel cannot take back.
func Anonymous(pid int) (int64, error) {
	found, err := status(pid, "RssAnon")
	if err != nil {
		return 0, fmt.Errorf("anonymous memory of process %d: %w", pid, err)
	}
	return found[0], nil
}

// status reads fields of /proc/PID/status that are amounts of memory.
func status(pid int, fields ...string) ([]int64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return nil, err
	}
	found := make([]int64, len(fields))
	for line := range strings.Lines(string(data)) {
		name, value, _ := strings.Cut(line, ":")
		at := slices.Index(fields, name)
		if at < 0 {
			continue
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		if err != nil {
			return nil, err
		}
		found[at] = kib << 10
	}
	return found, nil
}
