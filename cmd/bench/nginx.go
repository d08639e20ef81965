package main

import (
	"fmt"
	"os"
	"path/filepath"

	"larder/cmd/bench/process"
)

// peers are the doors of one nginx: files as they are, the same over TLS, and
// its cache in front of the first.
type peers struct{ static, secure, cached *server }

// nginx starts nginx over a folder of files, logging every request as larder does.
func (b *bench) nginx(root string, pair certificate) (*peers, error) {
	program, err := needed("nginx")
	if err != nil {
		return nil, err
	}
	var at [3]string
	for i := range at {
		if at[i], err = freeAddress(); err != nil {
			return nil, err
		}
	}
	home := filepath.Join(b.dir, "nginx")
	if err := os.MkdirAll(home, 0o755); err != nil {
		return nil, err
	}
	conf := filepath.Join(home, "nginx.conf")
	if err := os.WriteFile(conf, []byte(nginxConf(home, root, at, pair)), 0o644); err != nil {
		return nil, err
	}
	p, err := process.Start(process.Options{
		Program: program, Args: []string{"-p", home, "-c", conf}, Log: filepath.Join(home, "out.log"),
	})
	if err != nil {
		return nil, err
	}
	all := &peers{
		static: &server{Process: p, url: "http://" + at[0]},
		secure: &server{Process: p, url: "https://" + at[1], roots: pair.roots},
		cached: &server{Process: p, url: "http://" + at[2], hit: "X-Cache-Status"},
	}
	return all, all.static.answering()
}

// nginxConf leaves tcp_nopush off: with it some sizes stall for 40 ms, which
// would flatter whatever nginx is compared with. The cipher is the one that Go
// prefers, which is cheaper than nginx's own choice.
func nginxConf(home, root string, at [3]string, pair certificate) string {
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
  proxy_cache_path %[2]s/cache levels=1:2 keys_zone=hot:10m max_size=10g inactive=1d;
  default_type application/octet-stream;
  server { listen %[4]s; root %[3]s; }
  server {
    listen %[5]s ssl; root %[3]s;
    ssl_certificate %[7]s; ssl_certificate_key %[8]s;
    ssl_protocols TLSv1.3; ssl_conf_command Ciphersuites TLS_AES_128_GCM_SHA256;
  }
  server {
    listen %[6]s;
    location / {
      proxy_pass http://%[4]s; proxy_cache hot; proxy_cache_valid 200 1d;
      add_header X-Cache-Status $upstream_cache_status;
    }
  }
}
`, user, home, root, at[0], at[1], at[2], pair.file, pair.key)
}
