package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"larder/cmd/bench/process"
)

// startLimit bounds the start of a server, and stopLimit its end.
const (
	startLimit = 2 * time.Minute
	stopLimit  = time.Minute
)

// server is one of the programs compared.
type server struct {
	*process.Process
	url   string // no slash at the end
	token string // of the administrator, where there is one
}

// larder starts larder over a data folder, with an npm upstream.
func (b *bench) larder(data, upstream string) (*server, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p, err := process.Start(process.Options{
		Program: b.program,
		Args:    []string{"serve", "--listen", address, "--data", data, "--upstream", "npm=" + upstream},
		Log:     filepath.Join(b.dir, "larder.log"),
	})
	if err != nil {
		return nil, err
	}
	s := &server{Process: p, url: "http://" + address}
	if err := p.Ready(startLimit); err != nil {
		log, _ := os.ReadFile(filepath.Join(b.dir, "larder.log")) // what there is of it
		return nil, errors.Join(fmt.Errorf("%w\n%s", err, log), s.end())
	}
	token, err := os.ReadFile(filepath.Join(data, "admin.token"))
	if err != nil {
		return nil, errors.Join(err, s.end())
	}
	s.token = strings.TrimSpace(string(token))
	return s, nil
}

// nginx starts nginx over a folder of files, logging every request as larder does.
func (b *bench) nginx(root string) (*server, error) {
	program, err := needed("nginx")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	home := filepath.Join(b.dir, "nginx")
	if err := os.MkdirAll(home, 0o755); err != nil {
		return nil, err
	}
	conf := filepath.Join(home, "nginx.conf")
	if err := os.WriteFile(conf, []byte(nginxConf(home, root, address)), 0o644); err != nil {
		return nil, err
	}
	p, err := process.Start(process.Options{
		Program: program, Args: []string{"-p", home, "-c", conf}, Log: filepath.Join(home, "out.log"),
	})
	if err != nil {
		return nil, err
	}
	s := &server{Process: p, url: "http://" + address}
	return s, s.answering()
}

// nginxConf leaves tcp_nopush off: with it some sizes stall for 40 ms, which
// would flatter whatever nginx is compared with.
func nginxConf(home, root, address string) string {
	user := ""
	if os.Getuid() == 0 {
		user = "user root;"
	}
	return fmt.Sprintf(`daemon off; %s
worker_processes auto;
pid %[2]s/pid;
error_log %[2]s/error.log;
events { worker_connections 1024; }
http {
  sendfile on; tcp_nopush off; tcp_nodelay on;
  keepalive_timeout 120s; keepalive_requests 1000000000;
  access_log %[2]s/access.log combined;
  client_body_temp_path %[2]s/body; proxy_temp_path %[2]s/proxy;
  fastcgi_temp_path %[2]s/fastcgi; uwsgi_temp_path %[2]s/uwsgi; scgi_temp_path %[2]s/scgi;
  default_type application/octet-stream;
  server { listen %[3]s; root %[4]s; }
}
`, user, home, address, root)
}

// answering waits until connections are accepted.
func (s *server) answering() error {
	for end := time.Now().Add(startLimit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err == nil {
			return conn.Close()
		}
	}
	return errors.Join(fmt.Errorf("%s does not accept connections", s.url), s.end())
}

// end stops a server; one that ended by itself is an error.
func (s *server) end() error { return s.Stop(stopLimit) }

func needed(program string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("%s is missing: install Debian's package %s", program, program)
	}
	return path, nil
}

func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// fetched tells how one GET went.
type fetched struct {
	first, total time.Duration
	size         int64
}

// fetch makes one GET over a connection of its own and wants a 200.
func fetch(ctx context.Context, url string, header ...string) (fetched, error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fetched{}, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		q.Header.Set(header[i], header[i+1])
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}
	begin := time.Now()
	w, err := client.Do(q)
	if err != nil {
		return fetched{}, err
	}
	defer w.Body.Close()
	if w.StatusCode != http.StatusOK {
		return fetched{}, fmt.Errorf("GET %s answered %s", url, w.Status)
	}
	var one [1]byte
	if _, err := io.ReadFull(w.Body, one[:]); err != nil {
		return fetched{}, fmt.Errorf("GET %s: %w", url, err)
	}
	f := fetched{first: time.Since(begin)}
	rest, err := io.Copy(io.Discard, w.Body)
	f.total, f.size = time.Since(begin), rest+1
	if err != nil {
		return f, fmt.Errorf("GET %s: %w", url, err)
	}
	return f, nil
}
