package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"larder/cmd/larder/config"
	"larder/cmd/larder/image"
	"larder/proxy/admin"
)

func imageCommand() *cobra.Command {
	return group("image", "Carry container images to places without a network", imageExportCommand(), imageImportCommand())
}

func imageExportCommand() *cobra.Command {
	var o output
	var e image.Export
	var used string
	cmd := &cobra.Command{
		Use: "export --out PLACE REF...", Short: "Write images to an OCI image layout",
		Long: `Write images, of this registry and of its mirrors, to an OCI image layout: a
folder, or one file with a name that ends in .tar. What refers to them goes
along. Each byte is held against its digest. Stopped in the middle, the same
command goes on; a folder that has a layout gets more images. With --used-since
a HOST comes first, and all that was pulled from it in that time goes along.`,
		Example: "  larder image export --out bundle/ 127.0.0.1:8080/acme/app:1.4\n  larder image export --out bundle/ --used-since 30d 127.0.0.1:8080", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			if e.Out == "" {
				return usagef("--out is missing: a folder, or a file that ends in .tar")
			}
			for _, p := range e.Platforms {
				if err := image.CheckPlatform(p); err != nil {
					return usageError{err}
				}
			}
			sources, err := usedSources(cmd.Context(), used, args)
			if err != nil {
				return err
			}
			e.Tell = func(format string, args ...any) { o.say(cmd, format, args...) }
			done, err := e.Run(cmd.Context(), sources)
			if err != nil {
				return imageError(err)
			}
			return showImages(cmd, &o, done)
		},
	}
	cmd.Flags().StringVar(&e.Out, "out", "", "folder or .tar to write")
	cmd.Flags().StringSliceVar(&e.Platforms, "platform", nil, "of an index only these; the index stays")
	cmd.Flags().StringVar(&e.Base, "base", "", "leave out the layers that this folder or tar has")
	cmd.Flags().StringVar(&used, "used-since", "", "all that was pulled in this time too, such as 30d")
	o.flags(cmd)
	return cmd
}

func imageImportCommand() *cobra.Command {
	var o output
	var i image.Import
	cmd := &cobra.Command{
		Use: "import --from PLACE HOST", Short: "Push what is in an OCI image layout",
		Long: `Push the images of an OCI image layout, a folder or a tar. All of it is held
against its digests first, and nothing is seen on the server before its parts.
An image keeps its name; one of a mirror gets the name that it has at the
upstream. What the server has is not sent again.`,
		Example: "  larder image import --from bundle/ 127.0.0.1:8080 --into acme", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			if i.From == "" {
				return usagef("--from is missing: a folder or a tar with an image layout")
			}
			to, err := imageRegistry(args[0])
			if err != nil {
				return err
			}
			i.Into = strings.Trim(i.Into, "/")
			i.Tell = func(format string, args ...any) { o.say(cmd, format, args...) }
			if folder, err := os.UserCacheDir(); err == nil { // else there is no place to note it
				i.Unfinished = &image.Unfinished{File: filepath.Join(folder, "larder", "uploads.json"), Tell: i.Tell}
			}
			done, err := i.Run(cmd.Context(), to)
			if err != nil {
				return imageError(err)
			}
			return showImages(cmd, &o, done)
		},
	}
	cmd.Flags().StringVar(&i.From, "from", "", "folder or tar to read")
	cmd.Flags().StringVar(&i.Into, "into", "", "owner of all images, in the place of their own")
	o.flags(cmd)
	return cmd
}

// usedSources are the images that were named and, with a time, those that were
// pulled in it from the host that is named first.
func usedSources(ctx context.Context, since string, args []string) ([]image.Source, error) {
	if since == "" {
		return imageSources(args)
	}
	d, err := config.ParseDuration(since)
	if err != nil || d.Std() <= 0 {
		return nil, usagef("--used-since: %q is no time such as 30d", since)
	}
	host := args[0]
	if strings.Contains(host, "/") {
		return nil, usagef("--used-since takes the HOST first, and %s is an image", host)
	}
	days := int((d.Std() + 24*time.Hour - 1) / (24 * time.Hour))
	if days > maxUsedDays {
		return nil, usagef("--used-since: what was pulled is remembered for %d days", maxUsedDays)
	}
	var named []image.Source
	if len(args) > 1 {
		if named, err = imageSources(args[1:]); err != nil {
			return nil, err
		}
		if named[0].Host != host {
			return nil, usagef("%s and %s are two servers: run this once for each, the layout keeps what it has", host, named[0].Host)
		}
	}
	from, err := imageRegistry(host)
	if err != nil {
		return nil, err
	}
	list, err := from.Used(ctx, host, days)
	if err != nil {
		return nil, imageError(err)
	}
	if len(named)+len(list) == 0 {
		return nil, &apiError{Problem: admin.Problem{Status: 404, Detail: "nothing that you may read was pulled from " + host + " in the last " + since}}
	}
	return append(named, list...), nil
}

// maxUsedDays is how long a server remembers what was pulled.
const maxUsedDays = 400

func imageSources(args []string) ([]image.Source, error) {
	list := make([]image.Source, len(args))
	for i, text := range args {
		r, err := image.ParseReference(text)
		if err != nil {
			return nil, usageError{err}
		}
		if i > 0 && r.Host != list[0].Host { // nor may a token meant for one get to the other
			return nil, usagef("%s and %s are two servers: run this once for each, the layout keeps what it has", list[0].Host, r.Host)
		}
		list[i].Reference = r
	}
	from, err := imageRegistry(list[0].Host)
	for i := range list {
		list[i].Registry = from
	}
	return list, err
}

// imageRegistry finds the server behind a host: the one that commands speak to
// where that is it, else one with TLS, but on this machine.
func imageRegistry(host string) (*image.Registry, error) {
	p, err := loadProfile()
	if err != nil {
		return nil, err
	}
	var r remote
	r.server = r.address(p)
	if u, err := url.Parse(r.server); err != nil || u.Host != host {
		r.server = "https://" + host
		if local(r.server) {
			r.server = "http://" + host
		}
	}
	c, err := r.connect()
	if err != nil {
		return nil, err
	}
	meant, err := url.Parse(os.Getenv(urlVariable))
	if err == nil && meant.Host != "" && meant.Host != host && c.token == os.Getenv(tokenVariable) {
		c.token = "" // it goes with the other server that the environment names
	}
	return &image.Registry{URL: c.server, Token: c.token, HTTP: c.http}, nil
}

// imageError gives what a server said the exit code of other such answers.
func imageError(err error) error {
	var said *image.Refusal
	var away *url.Error
	switch {
	case errors.As(err, &said):
		return &apiError{Problem: admin.Problem{Status: said.Status, Detail: err.Error()}, rule: said.Rule}
	case errors.As(err, &away):
		return fmt.Errorf("%w: %w", errNoServer, err)
	}
	return err
}

func showImages(cmd *cobra.Command, o *output, r image.Report) error {
	return o.show(cmd, r, func(w io.Writer) {
		row(w, fmt.Sprintf("%d images, %d manifests, %d blobs of %d bytes", r.Images, r.Manifests, r.Blobs, r.Bytes))
	})
}
