// Command bench measures larder beside what people would use instead, on the
// machine it runs on, and prints tables in Markdown.
//
//	go run ./cmd/bench [flags] hits|misses|packument|install|idle|upkeep|decisions|growth|containers|bulk|all
//
// Beside a figure stands the line it must hold, where there is one. A figure
// that does not is marked BROKEN, and the exit status is then 1. Figures of one
// run compare with each other, not with those of another machine or hour: run
// nothing else meanwhile.
//
//   - hits: cached tarballs and a compressed document, plain and over TLS, beside
//     nginx with the same files and nginx proxy_cache, at full and at half load.
//     Needs nginx and wrk.
//   - misses: first byte and whole of files from a scripted far upstream, for one
//     client and for 64 at once.
//   - packument: a document of 20 MB, cold and warm.
//   - install: a real project directly, through larder and through verdaccio.
//     Needs npm and the upstream it is configured with.
//   - idle: start time and memory.
//   - upkeep: hits while blobs are evicted and while garbage is collected;
//     publishes per second. Needs wrk.
//   - decisions: what policy decides for a hit, in a small instance and in one
//     with 10000 users, 100000 grants, 1000 rules and a million tokens; its memory
//     and its start.
//   - growth: the index, start, memory, hits and eviction by -entries, the number
//     of records in the index; a cached file with its package makes about a dozen.
//     Needs wrk, and for 10000000 entries 10 GB below the folder for temporary
//     files and a quarter of an hour.
//   - containers: an image of 1 GiB and 20 small ones pushed and pulled, an image
//     pulled through a mirror, and 2500 tags listed, beside the reference registry;
//     a layer that 16 clients want at once from a mirror. Needs the registry that
//     ".ci/test install" installs, and 4 GB below the folder for temporary files.
//   - bulk: the memory of larder while a layer of -bulk GiB is pushed and pulled,
//     which the folder for temporary files must hold.
//
// nginx and wrk are Debian's packages of these names. All of it reads /proc, so
// it runs on Linux alone.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// bench is what all measurements share.
type bench struct {
	dir         string // scratch, removed at the end
	program     string // the larder binary
	rounds      int
	duration    time.Duration // of one load
	connections int
	entries     []int // sizes of growth
	bulk        int   // GiB
	tools       string
	out         io.Writer
	log         io.Writer
	broken      int // figures that break their lines
}

// measurement is one subcommand.
type measurement struct {
	name string
	run  func(context.Context, *bench) error
}

func measurements() []measurement {
	return []measurement{
		{"hits", hits},
		{"misses", misses},
		{"packument", packument},
		{"install", install},
		{"idle", idle},
		{"upkeep", upkeep},
		{"decisions", decisions},
		{"growth", growth},
		{"containers", containers},
		{"bulk", bulk},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out, log io.Writer) error {
	b, name, err := parse(args, out, log)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if b.dir, err = os.MkdirTemp("", "larder-bench-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.dir)
	if b.program == "" {
		if err := b.build(ctx); err != nil {
			return err
		}
	}
	for _, m := range measurements() {
		if name != m.name && name != "all" {
			continue
		}
		fmt.Fprintf(out, "\n## %s\n\n", m.name)
		if err := m.run(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return b.verdict()
}

func parse(args []string, out, log io.Writer) (*bench, string, error) {
	b := &bench{out: out, log: log}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(log)
	flags.StringVar(&b.program, "larder", "", "measure this binary instead of building ./cmd/larder")
	flags.IntVar(&b.rounds, "rounds", 5, "rounds of each comparison; medians are printed")
	flags.DurationVar(&b.duration, "duration", 3*time.Second, "length of one load")
	flags.IntVar(&b.connections, "connections", 32, "kept-alive connections of one load")
	flags.IntVar(&b.bulk, "bulk", 5, "size of the layer of bulk in GiB")
	flags.StringVar(&b.tools, "tools", ".tools", "folder for the servers that install and containers compare with")
	entries := flags.String("entries", "1000,10000,100000", "numbers of index entries that growth looks at, ascending")
	flags.Usage = func() {
		fmt.Fprintf(log, "usage: bench [flags] %s|all\n", strings.Join(names(), "|"))
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return nil, "", err
	}
	if flags.NArg() != 1 || flags.Arg(0) != "all" && !slices.Contains(names(), flags.Arg(0)) {
		return nil, "", fmt.Errorf("name one of %s or all", strings.Join(names(), ", "))
	}
	if b.rounds < 1 || b.connections < 1 || b.bulk < 1 || b.duration <= 0 {
		return nil, "", errors.New("rounds, connections, bulk and duration must be positive")
	}
	var err error
	b.entries, err = numbers(*entries)
	return b, flags.Arg(0), err
}

func names() []string {
	var all []string
	for _, m := range measurements() {
		all = append(all, m.name)
	}
	return all
}

// build builds the static binary as it is shipped.
func (b *bench) build(ctx context.Context) error {
	b.program = filepath.Join(b.dir, "larder")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", b.program, "larder/cmd/larder")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build larder: %w\n%s", err, out)
	}
	return nil
}
