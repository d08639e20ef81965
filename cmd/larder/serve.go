package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"larder/cmd/larder/config"
	"larder/proxy"
)

// serveFlags are the flags of serve; each stands for a config key.
type serveFlags struct {
	file, listen, data string
	offline            bool
	upstreams          []string
}

func serveCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:     "serve",
		Short:   "Run the registry",
		Example: "  larder serve --upstream npm=https://npm.upstream.example/",
		Args:    cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.file, "config", "", "configuration file (none is needed)")
	flags.StringVar(&f.listen, "listen", "", "address to listen on (default 127.0.0.1:8080)")
	flags.StringVar(&f.data, "data", "", "data folder (default: ~/.local/share/larder)")
	flags.BoolVar(&f.offline, "offline", false, "make no outgoing connection")
	flags.StringArrayVar(&f.upstreams, "upstream", nil, "upstream as `FORMAT=URL`; may be repeated")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return f.serve(cmd.Context())
	}
	return cmd
}

func (f *serveFlags) load() (*config.Loaded, error) {
	loaded, err := config.Load(config.Source{
		File: f.file, Env: os.Environ(), Formats: formatNames(), Flags: f.apply,
	})
	if err != nil {
		return nil, usageError{err}
	}
	if loaded.Data == "" {
		if loaded.Data, err = defaultData(); err != nil {
			return nil, err
		}
	}
	return loaded, nil
}

func (f *serveFlags) apply(c *config.Config, set func(key string)) error {
	if f.listen != "" {
		c.Listen = f.listen
		set("listen")
	}
	if f.data != "" {
		c.Data = f.data
		set("data")
	}
	if f.offline {
		c.Offline = true
		set("offline")
	}
	for _, u := range f.upstreams {
		format, url, ok := strings.Cut(u, "=")
		entry, known := c.Upstreams[format]
		if !ok || !known {
			return fmt.Errorf("--upstream %q: want FORMAT=URL, with one of the formats %s", u, strings.Join(formatNames(), ", "))
		}
		entry.URL = config.Hide(url)
		c.Upstreams[format] = entry
		set("upstreams." + format + ".url")
	}
	return nil
}

func (f *serveFlags) serve(ctx context.Context) error {
	cfg, err := f.load()
	if err != nil {
		return err
	}
	log := newLog(cfg.Log)
	for _, w := range cfg.Warnings {
		log.Warn().Msg(w)
	}
	clock, err := wallClock(os.Getenv(clockVariable), log)
	if err != nil {
		return usageError{err}
	}
	// What can be wrong outside the data folder is found before it is touched.
	d, err := openDoor(cfg)
	if err != nil {
		return err
	}
	defer d.listener.Close()
	n, err := openNode(ctx, cfg, log, clock)
	if err != nil {
		return err
	}
	floor := quieten()
	defer runtime.KeepAlive(floor)
	err = f.run(ctx, n, d)
	return errors.Join(err, n.close())
}

// run answers until the context ends.
func (f *serveFlags) run(ctx context.Context, n *node, d *door) error {
	reload := func(ctx context.Context) error {
		err := f.reload(ctx, n, d.certificate)
		n.reloaded(ctx, err)
		return err
	}
	handler, err := n.edge(reload)
	if err != nil {
		return err
	}
	reloads := make(chan os.Signal, 1)
	signal.Notify(reloads, syscall.SIGHUP)
	defer signal.Stop(reloads)
	work, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	n.start(work, d.listener.Addr().String())
	go n.reloadOn(work, reloads, reload)
	n.announce(d.listener.Addr())
	err = proxy.Serve(ctx, d.listener, handler, proxy.ServerOptions{
		TLS: d.certificate, Draining: n.drain, Log: n.log,
	})
	if errors.Is(err, proxy.ErrDrain) {
		n.log.Warn().Msg("some transfers were still under way and were cut")
		return nil
	}
	return err
}

func newLog(c config.Log) zerolog.Logger {
	level, err := zerolog.ParseLevel(c.Level)
	if err != nil {
		level = zerolog.InfoLevel // config.Check lets no other word pass
	}
	log := zerolog.New(os.Stderr)
	if pretty(c) {
		log = zerolog.New(zerolog.ConsoleWriter{Out: os.Stderr, TimeFormat: time.TimeOnly})
	}
	return log.Level(level).With().Timestamp().Logger()
}

func pretty(c config.Log) bool {
	return c.Format == "text" || c.Format == "auto" && term.IsTerminal(int(os.Stderr.Fd()))
}

// clockVariable moves the wall clock forward, so that rules about age can be tried.
const clockVariable = "LARDER_TEST_CLOCK_OFFSET"

func wallClock(offset string, log zerolog.Logger) (func() time.Time, error) {
	if offset == "" {
		return time.Now, nil
	}
	d, err := time.ParseDuration(offset)
	if err != nil || d < 0 {
		return nil, fmt.Errorf("%s=%q: want a duration such as 192h", clockVariable, offset)
	}
	log.Warn().Dur("offset", d).Msg("the clock is moved forward for a test: " + clockVariable + " is set")
	return func() time.Time { return time.Now().Add(d) }, nil
}
