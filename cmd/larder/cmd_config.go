package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"larder/cache/disk"
	"larder/cmd/larder/config"
)

func configCommand() *cobra.Command {
	return group("config", "The configuration of a server", configCheckCommand(), configShowCommand())
}

// readConfig reads a configuration as serve does, without its flags.
func readConfig(file string) (*config.Loaded, error) {
	loaded, err := config.Load(config.Source{File: file, Env: os.Environ(), Formats: formatNames()})
	if err != nil {
		return nil, usageError{err}
	}
	return loaded, nil
}

func configCheckCommand() *cobra.Command {
	var o output
	var file string
	cmd := &cobra.Command{
		Use: "check", Short: "Check a configuration without starting anything",
		Example: "  larder config check --config larder.yaml", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := readConfig(file)
			if err != nil {
				return err
			}
			if err := checkRules(loaded); err != nil {
				return err
			}
			if err := checkVolume(loaded); err != nil {
				return usageError{err}
			}
			if _, err := loadCertificate(loaded); err != nil {
				return err
			}
			for _, w := range loaded.Warnings {
				o.say(cmd, "warning: %s", w)
			}
			o.say(cmd, "the configuration is good")
			return nil
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file")
	cmd.Flags().BoolVar(&o.quiet, "quiet", false, "no messages beside results and errors")
	return cmd
}

// checkVolume holds cache.max_size against the volume of the data folder, or of
// the nearest folder around it that is there.
func checkVolume(l *config.Loaded) error {
	dir := l.Data
	if dir == "" {
		var err error
		if dir, err = defaultData(); err != nil {
			return nil // serve will say so
		}
	}
	for {
		space, err := (disk.OS{}).Statfs(dir)
		if err == nil {
			return l.CheckVolume(space.Total)
		}
		up := filepath.Dir(dir)
		if up == dir {
			return nil
		}
		dir = up
	}
}

func configShowCommand() *cobra.Command {
	var o output
	var file string
	cmd := &cobra.Command{
		Use: "show", Short: "Show every key, its value and where that comes from",
		Long:    "Show every key, its value and where that comes from. Secrets are hidden.",
		Example: "  larder config show --config larder.yaml", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			loaded, err := readConfig(file)
			if err != nil {
				return err
			}
			list := loaded.Values()
			return o.show(cmd, list, func(w io.Writer) {
				row(w, "KEY", "VALUE", "FROM")
				for _, v := range list {
					row(w, v.Key, v.Value, v.Source)
				}
			})
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file")
	o.flags(cmd)
	return cmd
}

func healthcheckCommand() *cobra.Command {
	var s shared
	return s.flags(&cobra.Command{
		Use: "healthcheck", Short: "Exit with 0 if the server is ready",
		Example: "  larder healthcheck --server http://127.0.0.1:8080", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.open()
			if err != nil {
				return err
			}
			var state struct {
				Status string `json:"status"`
			}
			err = c.call(cmd.Context(), http.MethodGet, "/readyz", nil, nil, &state)
			var problem *apiError
			if errors.As(err, &problem) {
				return fmt.Errorf("%s is not ready", c.server)
			}
			if err != nil {
				return err
			}
			return s.show(cmd, state, func(w io.Writer) { row(w, state.Status) })
		},
	})
}
