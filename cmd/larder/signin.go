package main

import (
	"larder/cmd/larder/config"
	"larder/proxy/registry"
	"larder/upstream"
	signin "larder/upstream/bearer"
)

// outlet is an upstream with the way in which its format is asked.
type outlet struct {
	*upstream.Client
	fetcher registry.Fetcher
}

// outlet makes the way in which a client is used for its format.
func (u *upstreams) outlet(c config.Upstream, client *upstream.Client) (outlet, error) {
	if c.Format != config.Containers {
		return outlet{client, client}, nil
	}
	signed, err := signin.New(client, signin.Options{Now: u.clock, Alarm: u.alarm})
	return outlet{client, signed}, err
}

// alarm tells the operator what clients are told as missing. What needs no
// credential of ours may be missing indeed.
func (u *upstreams) alarm(a signin.Alarm) {
	line, event, message := u.log.Warn(), "upstream.refused", "an upstream refuses us, and clients are told that it has no such thing: "
	switch {
	case a.Status == 0:
		event, message = "upstream.guest", "an upstream is asked as a guest, although there is a credential: "
	case a.Credential:
		line = u.log.Error()
	}
	line.Str("event", event).Str("upstream", a.Upstream).Str("host", a.Host).Int("status", a.Status).
		Str("scope", a.Scope).Msg(message + a.Reason)
}
