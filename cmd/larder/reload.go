package main

import (
	"context"
	"maps"
	"os"
	"slices"
	"strings"

	"larder/cmd/larder/config"
	"larder/proxy"
)

// reloadOn reloads on SIGHUP. A bad file keeps what is in force.
func (n *node) reloadOn(ctx context.Context, signals <-chan os.Signal, reload func(context.Context) error) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-signals:
		}
		if err := reload(ctx); err != nil {
			n.log.Error().Err(err).Msg("reload refused; the old configuration stays in force")
			continue
		}
		n.log.Info().Msg("reloaded")
	}
}

// reload takes in a changed configuration: certificates, claims, rules, upstreams.
// Everything that can be wrong is found before the first of them changes.
func (f *serveFlags) reload(ctx context.Context, n *node, certificate *proxy.Certificate) error {
	cfg, err := f.load()
	if err != nil {
		return err
	}
	useCertificate := func() {}
	if certificate != nil {
		if useCertificate, err = certificate.Read(); err != nil {
			return err
		}
	}
	list, waivers := cfg.Policy.RuleSet()
	if err := n.rules.Check(list, waivers); err != nil {
		return usageError{err}
	}
	useUpstreams, err := n.upstreams.change(ctx, cfg)
	if err != nil {
		return err
	}
	if err := n.directory.SetClaims(ctx, claims(cfg.Policy.Claims)); err != nil {
		return err
	}
	if err := n.rules.Use(list, waivers); err != nil {
		return err
	}
	useCertificate()
	useUpstreams()
	if keys := fixed(n.cfg, cfg); len(keys) > 0 {
		n.log.Warn().Strs("keys", keys).Msg("these keys have changed too, and count from the next start on")
	}
	return nil
}

// fixed lists the keys that differ and that a reload does not take in.
func fixed(old, changed *config.Loaded) []string {
	before, after := values(old), values(changed)
	var keys []string
	for key := range union(before, after) {
		if before[key] != after[key] && !strings.HasPrefix(key, "policy.") && (!strings.HasPrefix(key, "upstreams.") || mirror(key, old, changed)) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// mirror reports a key of an upstream that makes a registry, or gives one a host
// name: the registries are those of the start.
func mirror(key string, old, changed *config.Loaded) bool {
	id, field := key, ""
	if at := strings.LastIndexByte(key, '.'); at >= 0 {
		id, field = strings.TrimPrefix(key[:at], "upstreams."), key[at+1:]
	}
	before, after := slices.Contains(old.Mirrors(), id), slices.Contains(changed.Mirrors(), id)
	return field == "format" && before != after || field == "hosts" && before && after
}

func values(l *config.Loaded) map[string]string {
	m := map[string]string{}
	for _, v := range l.Values() {
		m[v.Key] = v.Value
	}
	return m
}

func union(a, b map[string]string) map[string]string {
	all := maps.Clone(a)
	maps.Copy(all, b)
	return all
}
