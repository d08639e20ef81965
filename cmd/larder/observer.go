package main

import (
	"context"

	"larder/cache"
	"larder/policy/audit"
	"larder/policy/rules"
	"larder/proxy/registry"
)

// observer tells log, metrics and the audit log what only the engine sees.
type observer struct{ n *node }

func (o observer) Integrity(format, pkg, stage string, err error) {
	o.n.metrics.Integrity(format, pkg, stage, err)
	o.n.log.Error().Str("event", "integrity.violation").Str("format", format).Str("package", pkg).Str("stage", stage).
		Err(err).Msg("bytes were not those announced; they were not served")
	o.n.violation(audit.Resource{Format: format, Package: pkg}, stage, err)
	if stage == "fill" {
		o.n.rules.Refused(rules.Pin)
	}
}

func (o observer) Warned(format, pkg string, f rules.Finding) {
	o.n.metrics.Warned(format, f.Rule)
	o.n.rules.Warned(f.Rule)
	o.n.log.Warn().Str("event", "policy.warned").Str("format", format).Str("package", pkg).Str("rule", f.Rule).Msg(f.Reason)
	o.n.note(o.n.audit.Warned(context.Background(), audit.Record{ // no request: what was found out serves many
		Actor: audit.Actor{Kind: audit.System}, Action: "policy.warn", Resource: audit.Resource{Format: format, Package: pkg},
		Reason: audit.Reason{RuleID: f.Rule, Sentence: f.Reason},
	}))
}

func (o observer) Foreseen(format, pkg, version string, got registry.Foreseen) {
	line, message := o.n.log.Info(), "fetched ahead"
	if got.Err != nil {
		line, message = o.n.log.Warn().Err(got.Err), "not all could be fetched ahead"
	}
	line.Str("event", "prefetch").Str("format", format).Str("package", pkg).Str("version", version).
		Int("files", got.Files).Int64("bytes", got.Bytes).Msg(message)
}

func (o observer) Claimed(string, string, string) { o.n.rules.Refused(rules.Claim) }

func (o observer) Shared(format string) { o.n.metrics.Shared(format) }

// damaged hears of bytes in the store that are not what they were.
func (n *node) damaged(d cache.Digest, hosted bool, err error) {
	n.metrics.Integrity("", "", "scrub", err)
	n.log.Error().Str("digest", d.String()).Bool("hosted", hosted).Msg("stored bytes are damaged")
	n.violation(audit.Resource{Digest: d.String()}, "scrub", err)
}

// violation records that bytes are not those they have to be. A folder that no
// server holds has no log that runs.
func (n *node) violation(of audit.Resource, stage string, err error) {
	if n.audit == nil {
		return
	}
	n.note(n.audit.Noted(context.Background(), audit.Record{ // the work behind it has no caller
		Actor: audit.Actor{Kind: audit.System}, Action: "integrity.violation", Resource: of, Decision: audit.Deny,
		Reason: audit.Reason{Limit: stage, Sentence: err.Error()},
	}))
}

// note tells the log that the audit log lacks a record.
func (n *node) note(err error) {
	if err != nil {
		n.log.Error().Err(err).Msg("the audit log lacks a record")
	}
}
