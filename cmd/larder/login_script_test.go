package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdWebLogin runs a client's browser login and plays the browser:
//
//	web-login TOKEN COMMAND [ARG]...
//
// The command must print the address to open; the form found there is filled in
// with TOKEN and sent, and the command must then end well.
func cmdWebLogin(ts *testscript.TestScript, neg bool, args []string) {
	usage(ts, neg || len(args) < 2, "web-login TOKEN COMMAND [ARG]...")
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[1], args[2:]...)
	cmd.Env, cmd.Dir = environment(ts), ts.MkAbs(".")
	reader, writer := io.Pipe()
	cmd.Stdout, cmd.Stderr = writer, writer
	ts.Check(cmd.Start())
	ended := make(chan error, 1)
	go func() {
		ended <- cmd.Wait()
		writer.Close()
	}()
	opened, scan := false, bufio.NewScanner(reader)
	address := regexp.MustCompile(`http://127\.0\.0\.1:\d+/\S*login\S*`)
	for scan.Scan() {
		fmt.Fprintln(ts.Stdout(), scan.Text())
		if found := address.FindString(scan.Text()); found != "" && !opened {
			opened = true
			confirmLogin(ts, found, args[0])
		}
	}
	ts.Check(<-ended)
	if !opened {
		ts.Fatalf("%s printed no address to open", args[1])
	}
}

// confirmLogin opens the page, fills every field that is not hidden with the
// token and sends the form.
func confirmLogin(ts *testscript.TestScript, page, token string) {
	w, err := http.Get(page)
	ts.Check(err)
	defer w.Body.Close()
	html, err := io.ReadAll(io.LimitReader(w.Body, 1<<20))
	ts.Check(err)
	if w.StatusCode != http.StatusOK {
		ts.Fatalf("the login page answered %s", w.Status)
	}
	form := url.Values{}
	for _, input := range regexp.MustCompile(`<input[^>]*>`).FindAllString(string(html), -1) {
		name, value := attribute(input, "name"), attribute(input, "value")
		if name == "" {
			continue
		}
		if attribute(input, "type") != "hidden" {
			value = token
		}
		form.Set(name, value)
	}
	target, err := w.Request.URL.Parse(attribute(regexp.MustCompile(`<form[^>]*>`).FindString(string(html)), "action"))
	ts.Check(err)
	sent, err := http.PostForm(target.String(), form)
	ts.Check(err)
	defer sent.Body.Close()
	if sent.StatusCode >= http.StatusBadRequest {
		ts.Fatalf("the login form answered %s", sent.Status)
	}
}

func attribute(tag, name string) string {
	_, rest, ok := strings.Cut(tag, " "+name+`="`)
	if !ok {
		return ""
	}
	value, _, _ := strings.Cut(rest, `"`)
	return value
}
