package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// apiServer answers as scripted and remembers what it was asked.
type apiServer struct {
	t       *testing.T
	url     string
	answers map[string]string // "METHOD path?query": "STATUS body"

	mu     sync.Mutex
	asked  []string // "METHOD path?query body"
	tokens []string
}

// newAPI starts a server and gives the test an empty home and no variables.
func newAPI(t *testing.T, answers map[string]string) *apiServer {
	t.Helper()
	f := &apiServer{t: t, answers: answers}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	f.url = server.URL
	home := t.TempDir()
	for name, value := range map[string]string{
		"HOME": home, "XDG_CONFIG_HOME": home + "/config", "XDG_DATA_HOME": home + "/data",
		"LARDER_URL": server.URL, "LARDER_TOKEN": "ldrp_token", "LARDER_DATA": "",
	} {
		t.Setenv(name, value)
	}
	return f
}

func (f *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		f.t.Error(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	call := r.Method + " " + r.URL.RequestURI()
	f.asked = append(f.asked, strings.TrimSpace(call+" "+string(body)))
	f.tokens = append(f.tokens, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	answer, ok := f.answers[call]
	if !ok {
		answer = `404 {"status":404,"detail":"there is no such thing here"}`
	}
	var status int
	if _, err := fmt.Sscan(answer, &status); err != nil {
		f.t.Errorf("answer %q: %v", answer, err)
	}
	_, text, _ := strings.Cut(answer, " ")
	if status == http.StatusFound {
		w.Header().Set("Location", "/elsewhere")
	}
	w.WriteHeader(status)
	if _, err := io.WriteString(w, text); err != nil {
		f.t.Error(err)
	}
}

// want fails unless exactly these calls came.
func (f *apiServer) want(calls ...string) {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.Equal(f.asked, calls) {
		f.t.Errorf("asked\n%s\nwant\n%s", strings.Join(f.asked, "\n"), strings.Join(calls, "\n"))
	}
	f.asked = nil
}

// larder runs one command line with stdin, and returns what it printed.
func larder(t *testing.T, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	root := rootCommand()
	var out, problems bytes.Buffer
	root.SetIn(strings.NewReader(stdin))
	root.SetOut(&out)
	root.SetErr(&problems)
	root.SetArgs(args)
	err = root.ExecuteContext(t.Context())
	return out.String(), problems.String(), err
}

// wantExit fails unless a command line ends with a code and says something.
func wantExit(t *testing.T, code int, say string, args ...string) {
	t.Helper()
	_, _, err := larder(t, "", args...)
	if got := exitCode(err); got != code || err != nil && !strings.Contains(err.Error(), say) {
		t.Errorf("larder %s: exit %d, want %d: %v, want %q", strings.Join(args, " "), got, code, err, say)
	}
}
