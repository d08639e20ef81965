package main

import (
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"larder/cmd/larder/config"
	"larder/policy/purl"
	"larder/policy/rulebook"
	"larder/proxy/admin"
)

func policyCommand() *cobra.Command {
	return group("policy", "Rules in force, and waivers that lift them for a while",
		policyRulesCommand(), policyWaiversCommand(), policyWaiveCommand(), policyUnwaiveCommand(), policyApproveCommand(), policyResetCommand())
}

func policyRulesCommand() *cobra.Command {
	var s shared
	return s.flags(&cobra.Command{
		Use: "rules", Short: "List the rules in force, and how often each refused",
		Long: `List the rules in force in the order in which they are asked, built-in ones
included, and how often each refused a request (or in mode warn would have)
since the server started. Versions left out of documents are not counted.`,
		Example: "  larder policy rules", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.open()
			if err != nil {
				return err
			}
			var list admin.RuleList
			if err := c.call(cmd.Context(), http.MethodGet, "/api/v1/policy/rules", nil, nil, &list); err != nil {
				return err
			}
			return s.show(cmd, list.Rules, func(w io.Writer) {
				row(w, "ID", "KIND", "MODE", "REFUSED", "WARNED", "ENDS", "ABOUT", "REASON")
				for _, r := range list.Rules {
					row(w, r.ID, r.Kind, r.Mode, strconv.FormatInt(r.Refused, 10), strconv.FormatInt(r.Warned, 10),
						dateTime(r.Expires, "never"), about(r), r.Reason)
				}
			})
		},
	})
}

// about says what a rule is about, shortly.
func about(r rulebook.Rule) string {
	what := "all"
	if len(r.Formats) > 0 {
		what = strings.Join(r.Formats, ",")
	}
	if n := len(r.Match); n > 3 {
		what = strings.Join(r.Match[:3], " ") + " and " + strconv.Itoa(n-3) + " more"
	} else if n > 0 {
		what = strings.Join(r.Match, " ")
	}
	switch {
	case r.MinAge > 0:
		what += " younger than " + config.Duration(time.Duration(r.MinAge)*time.Second).String()
	case !r.NotAfter.IsZero():
		what += " from after " + dateTime(r.NotAfter, "")
	case r.Exclusive:
		what = "all but " + what
	}
	if len(r.Mounts) > 0 {
		what += " in " + strings.Join(r.Mounts, ",")
	}
	return what
}

func policyWaiversCommand() *cobra.Command {
	var s shared
	return s.flags(&cobra.Command{
		Use: "waivers", Short: "List the waivers, those of the config file too", Example: "  larder policy waivers", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := s.open()
			if err != nil {
				return err
			}
			var list admin.WaiverList
			if err := c.call(cmd.Context(), http.MethodGet, "/api/v1/policy/waivers", nil, nil, &list); err != nil {
				return err
			}
			return s.show(cmd, list.Waivers, func(w io.Writer) {
				row(w, "ID", "RULE", "MATCH", "UNTIL", "BY", "WHY", "NOTE")
				for _, v := range list.Waivers {
					row(w, v.ID, v.Rule, strings.Join(v.Match, " "), dateTime(v.Until, ""), v.By, v.Why, note(v))
				}
			})
		},
	})
}

func note(v rulebook.Waiver) string {
	if v.Idle != "" {
		return "without effect: " + v.Idle
	}
	return ""
}

func policyWaiveCommand() *cobra.Command {
	var s shared
	var until, why string
	cmd := &cobra.Command{
		Use: "waive RULE PURL...", Short: "Let versions pass a rule for a while",
		Long: `Let versions pass a rule until a moment, at once and without a restart. A PURL
may hold wildcards and ranges, as in the rules of the configuration. WHEN is the
last day on which it holds, or a duration from now. For administrators; who gave
it, until when and why is recorded in the audit log.`,
		Example: "  larder policy waive cool pkg:npm/left-pad@1.4.0 --until 7d --why 'urgent fix'",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			end, err := untilOf(until, time.Now())
			if err != nil {
				return err
			}
			if why == "" {
				return usagef("--why is missing: say for the audit log why the rule does not hold for it")
			}
			in := admin.NewWaiver{Rule: args[0], Until: end, Why: why}
			for _, text := range args[1:] {
				match, err := patternOf(text)
				if err != nil {
					return err
				}
				in.Match = append(in.Match, match)
			}
			c, err := s.open()
			if err != nil {
				return err
			}
			var made rulebook.Waiver
			if err := c.call(cmd.Context(), http.MethodPost, "/api/v1/policy/waivers", nil, in, &made); err != nil {
				return err
			}
			s.say(cmd, "waiver %s: %s passes the rule %s until %s UTC", made.ID, strings.Join(made.Match, " "), made.Rule, dateTime(made.Until, ""))
			if made.Idle != "" {
				s.say(cmd, "it is without effect now: %s", made.Idle)
			}
			return s.show(cmd, made, func(w io.Writer) { row(w, made.ID) })
		},
	}
	cmd.Flags().StringVar(&until, "until", "", "`WHEN` it ends: 7d, 36h, 2027-01-31 or RFC 3339")
	cmd.Flags().StringVar(&why, "why", "", "why, in one line")
	return s.flags(cmd)
}

// untilOf reads a WHEN.
func untilOf(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, usagef("--until is missing: write a duration such as 7d, or the last day such as %s", now.AddDate(0, 0, 7).Format(time.DateOnly))
	}
	if d, err := config.ParseDuration(text); err == nil {
		return now.Add(d.Std()).UTC().Truncate(time.Second), nil
	}
	at, err := config.ParseDate(text)
	if err != nil {
		return time.Time{}, usagef("--until %q: write a duration such as 7d, a day such as 2027-01-31, or a time such as 2027-01-31T12:00:00Z", text)
	}
	return at.Time, nil
}

// patternOf takes a pattern of package URLs with or without its pkg: in front.
func patternOf(text string) (string, error) {
	full := text
	if !strings.HasPrefix(full, "pkg:") {
		full = "pkg:" + full
	}
	if _, err := purl.ParsePattern(full); err != nil {
		return "", usageError{err}
	}
	return full, nil
}

func policyUnwaiveCommand() *cobra.Command {
	var s shared
	return s.flags(&cobra.Command{
		Use: "unwaive ID", Short: "End a waiver now", Example: "  larder policy unwaive 3kq7xw2m5a", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o := order{method: http.MethodDelete, path: "/api/v1/policy/waivers/" + url.PathEscape(args[0])}
			return s.do(cmd, o, "the waiver %s has ended", args[0])
		},
	})
}

func policyResetCommand() *cobra.Command {
	var s shared
	var yes bool
	var registry string
	cmd := &cobra.Command{
		Use: "reset-origin PURL", Short: "Forget where a name came from",
		Long: `Forget where a name came from, so that it belongs to whoever has it next: an
upstream, or who publishes it. A publish still asks the upstreams; while one has
the name it takes a claim. Documents that are cached of the name are dropped;
files stay, with the digests first seen of them, which nothing resets. What was
published here must be deleted before, cannot be restored afterwards, and its
version numbers stay taken. Without --yes this shows what would be forgotten,
and on a terminal asks for the name. For administrators.`,
		Example: "  larder policy reset-origin pkg:npm/left-pad --yes", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			which, err := purlOf(args[0])
			if err != nil {
				return err
			}
			query := url.Values{"purl": {which.String()}, "registry": {registry}}
			if !yes {
				if err := s.resetOrigin(cmd, query, true); err != nil {
					return err
				}
				if yes, err = s.confirmed(cmd, which.Name, "reset its origin"); !yes {
					return err
				}
			}
			return s.resetOrigin(cmd, query, false)
		},
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "reset, do not only show what would be forgotten")
	cmd.Flags().StringVar(&registry, "registry", "", "of this registry (default: the first of the format)")
	return s.flags(cmd)
}

// resetOrigin resets, and prints what was forgotten.
func (s *shared) resetOrigin(cmd *cobra.Command, query url.Values, dry bool) error {
	c, err := s.open()
	if err != nil {
		return err
	}
	query.Set("dry_run", strconv.FormatBool(dry))
	var done admin.OriginReset
	if err := c.call(cmd.Context(), http.MethodPost, "/api/v1/policy/origin/reset", query, nil, &done); err != nil {
		return err
	}
	return s.show(cmd, done, func(w io.Writer) {
		row(w, "name:", done.Purl)
		if done.Upstream != "" {
			row(w, "had come from:", "upstream "+done.Upstream)
		}
		if done.Repository != "" {
			row(w, "had been published to:", done.Repository)
		}
		row(w, "since:", dateTime(done.Since, ""))
		row(w, "cached documents dropped:", strconv.Itoa(done.Documents))
	})
}
