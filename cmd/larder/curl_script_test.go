package main

import (
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

// curl does what the pages of docs ask of the program of that name, so that
// their stories need none: the flags that they use, and no others.
func curl() {
	if err := curled(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "curl:", err)
		os.Exit(2)
	}
}

type headerLines []string

func (h *headerLines) String() string     { return strings.Join(*h, ", ") }
func (h *headerLines) Set(s string) error { *h = append(*h, s); return nil }

func curled(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("curl", flag.ContinueOnError)
	var lines headerLines
	flags.Var(&lines, "H", "a field")
	silent := flags.Bool("s", false, "no progress") // there is none here
	fields := flags.Bool("i", false, "show the fields of the answer")
	method := flags.String("X", "", "the method")
	body := flags.String("json", "", "send JSON")
	if err := flags.Parse(args); err != nil || flags.NArg() != 1 || !*silent {
		return fmt.Errorf("curl -s … URL, got %q: %v", args, err)
	}
	if *method == "" {
		*method = map[bool]string{true: "GET", false: "POST"}[*body == ""]
	}
	r, err := http.NewRequest(*method, flags.Arg(0), strings.NewReader(*body))
	if err != nil {
		return err
	}
	if *body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer w.Body.Close()
	if *fields {
		fmt.Fprintln(out, w.Proto, w.StatusCode)
		if err := w.Header.Write(out); err != nil {
			return err
		}
		fmt.Fprintln(out)
	}
	_, err = io.Copy(out, w.Body)
	return err
}
