package rules

import (
	"strings"
	"testing"
	"time"
)

// TestSentences holds what people read, word for word.
func TestSentences(t *testing.T) {
	const three = 72 * hour
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	cooldown := Rule{ID: "age/npm", Kind: Cooldown, MinAge: three}
	ended := func(r Rule) Rule { r.Expires = noon().Add(hour); return r }
	because := func(r Rule) Rule { r.Reason = "known bad"; return r }
	worm := Rule{ID: "worm", Kind: Freeze, NotAfter: at("2026-07-31T23:59:59Z")}
	for _, c := range []struct {
		rule  Rule
		facts Facts
		want  string
	}{
		{cooldown, since("1.4.0", 2*hour+59*time.Minute), "left-pad 1.4.0 is 2 h old; this registry waits 72 h (rule age/npm, opens 2026-08-04 09:01 UTC)"},
		{because(cooldown), since("1.4.0", 30*time.Second), "left-pad 1.4.0 is 30 s old; this registry waits 72 h (rule age/npm, opens 2026-08-04 12:00 UTC): known bad"},
		{ended(cooldown), since("1.4.0", 5*time.Minute), "left-pad 1.4.0 is 5 min old; this registry waits 72 h (rule age/npm, opens 2026-08-01 13:00 UTC)"},
		{Rule{ID: "c", Kind: Cooldown, MinAge: 7 * day}, since("1.4.0", 6*day+hour), "left-pad 1.4.0 is 6 d old; this registry waits 7 d (rule c, opens 2026-08-02 11:00 UTC)"},
		{Rule{ID: "c", Kind: Cooldown, MinAge: 90 * time.Minute}, since("1.4.0", 0), "left-pad 1.4.0 is 0 s old; this registry waits 90 min (rule c, opens 2026-08-01 13:30 UTC)"},
		{Rule{ID: "c", Kind: Cooldown, MinAge: 1500 * time.Millisecond}, since("1.4.0", time.Second), "left-pad 1.4.0 is 1 s old; this registry waits 1.5s (rule c, opens 2026-08-01 12:01 UTC)"},
		{cooldown, since("1.4.0", -hour), "left-pad 1.4.0 is dated 2026-08-01 13:00 UTC, which is still to come; this registry waits 72 h (rule age/npm, opens 2026-08-04 13:00 UTC)"},
		{cooldown, Facts{Version: "1.4.0", FirstSeen: noon().Add(-hour)}, "left-pad 1.4.0 has no known time of publication and was first seen here 1 h ago; this registry waits 72 h (rule age/npm, opens 2026-08-04 11:00 UTC)"},
		{Rule{ID: "c", Kind: Cooldown, MinAge: day, UnknownTime: denyTime}, Facts{Version: "1.4.0"}, "left-pad 1.4.0 has no known time of publication, and this registry takes nothing without (rule c)"},
		{deny("pkg:npm/left-pad"), since("1.4.0", day), "left-pad 1.4.0 is denied by this registry (rule bad)"},
		{deny("pkg:npm/left-pad"), Facts{}, "left-pad is denied by this registry (rule bad)"},
		{because(ended(deny("pkg:npm/left-pad"))), since("1.4.0", day), "left-pad 1.4.0 is denied by this registry (rule bad, opens 2026-08-01 13:00 UTC): known bad"},
		{Rule{ID: "only", Kind: Allow, Exclusive: true, Match: []string{"pkg:npm/a"}}, since("1.4.0", day), "left-pad 1.4.0 is not on the list of what this registry allows (rule only)"},
		{worm, since("1.4.0", hour), "left-pad 1.4.0 was published 2026-08-01 11:00 UTC; this registry takes nothing published after 2026-07-31 23:59 UTC (rule worm)"},
		{worm, Facts{Version: "1.4.0"}, "left-pad 1.4.0 has no known time of publication and was first seen here 2026-08-01 12:00 UTC; this registry takes nothing published after 2026-07-31 23:59 UTC (rule worm)"},
		{cooldown, Facts{Version: "1.4.0", Claim: "acme"}, "left-pad is claimed as ours and not published here, so no upstream is asked for it (claim acme)"},
		{cooldown, Facts{Version: "1.4.0", Ours: true}, "left-pad was first published here, so no upstream may supply it (rule origin)"},
		{cooldown, Facts{Version: "1.4.0", Published: noon().Add(-9 * day), Pinned: "a", Digest: "b"}, "left-pad 1.4.0 has other bytes than when it was first seen (rule pin): SHA-256 b, then a"},
	} {
		out := made(t, one(c.rule)).For("npm", "npm", "left-pad").Check(c.facts, noon())
		if out.Finding.Reason != c.want {
			t.Errorf("got  %s\nwant %s", out.Finding.Reason, c.want)
		}
	}
}

func TestTell(t *testing.T) {
	f := Finding{Reason: "no"}
	for want, got := range map[string]string{
		"no": f.Tell(""), "no. Newest allowed: 1.3.0": f.Tell("1.3.0"),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestExplain: every rule is there, with what it says and why.
func TestExplain(t *testing.T) {
	rules := []Rule{
		cool(7 * day),
		{ID: "cool2", Kind: Cooldown, MinAge: 2 * day, Exempt: []string{"pkg:npm/left-*"}},
		{ID: "cool3", Kind: Cooldown, MinAge: hour},
		{ID: "cool4", Kind: Cooldown, MinAge: day, Mode: off},
		{ID: "cool5", Kind: Cooldown, MinAge: 3 * day, Mode: warn},
		{ID: "cool6", Kind: Cooldown, MinAge: day, Expires: noon()},
		{ID: "worm", Kind: Freeze, NotAfter: noon(), Mounts: []string{"npm"}},
		{ID: "worm2", Kind: Freeze, NotAfter: noon(), Mounts: []string{"npm2"}},
		{ID: "bad", Kind: Deny, Match: []string{"pkg:gem/left-pad"}},
		{ID: "bad2", Kind: Deny, Match: []string{"pkg:npm/left-pad@2.*"}},
		{ID: "bad3", Kind: Deny, Match: []string{"pkg:npm/right-pad"}},
		{ID: "bad4", Kind: Deny, Match: []string{"pkg:npm/left-pad?checksum=sha256:" + sha}},
		{ID: "ok", Kind: Allow, Match: []string{"pkg:npm/left-pad"}},
		{ID: "only", Kind: Allow, Exclusive: true, Match: []string{"pkg:npm/a"}},
	}
	until := noon().Add(day)
	s := made(t, rules, waiver("cool", "pkg:npm/left-pad@1.3.1", until)).For("npm", "npm", "left-pad")
	list := s.Explain(since("1.3.1", 25*hour), noon())
	var got []string
	for _, f := range list {
		got = append(got, f.Rule+" "+string(f.Verdict)+": "+f.Reason)
	}
	want := []string{
		"claim unconcerned: no claim covers the name",
		"origin unconcerned: the name was not first published here",
		"bad unconcerned: it is about rubygems",
		"bad2 unconcerned: it is about other versions of left-pad",
		"bad3 unconcerned: it is about other names",
		"bad4 undecided: it depends on the digest of the file: see pkg:npm/left-pad?checksum=sha256:" + sha,
		"ok pass: it adds to lists of what is allowed and refuses nothing",
		"only pass: allowed by pkg:npm/left-pad",
		"cool waived: waived by alice until 2026-08-02 12:00 UTC for pkg:npm/left-pad@1.3.1: urgent fix",
		"cool2 exempt: the rule exempts pkg:npm/left-*",
		"cool3 pass: left-pad 1.3.1 is 25 h old",
		"cool4 unconcerned: it is off",
		"cool5 refuse: left-pad 1.3.1 is 25 h old; this registry waits 72 h (rule cool5, opens 2026-08-03 11:00 UTC)",
		"cool6 unconcerned: it ended 2026-08-01 12:00 UTC",
		"worm pass: left-pad 1.3.1 was published 2026-07-31 11:00 UTC",
		"worm2 unconcerned: it holds in npm2",
		"pin unconcerned: the file has not been seen yet",
	}
	if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
		t.Errorf("got\n%s\nwant\n%s", g, w)
	}
	for _, f := range list {
		switch f.Rule {
		case "cool":
			if f.Waiver == nil || f.Waiver.By != "alice" || !f.Waiver.Until.Equal(until) {
				t.Errorf("waiver %+v", f.Waiver)
			}
		case "cool5":
			if f.Mode != warn || !f.Since.Equal(noon().Add(-25*hour)) || !f.Opens.Equal(noon().Add(47*hour)) {
				t.Errorf("%+v", f)
			}
		}
	}
}

func TestExplainMore(t *testing.T) {
	s := made(t, []Rule{
		cool(day), {ID: "cool2", Kind: Cooldown, MinAge: day, UnknownTime: allowTime}, {ID: "bad", Kind: Deny, Match: []string{"pkg:npm/left-pad@1.*"}},
	}).For("npm", "npm", "left-pad")
	for _, c := range []struct {
		facts Facts
		want  []string
	}{
		{Facts{}, []string{"cool undecided: it depends on the version", "bad undecided: it depends on the version: see pkg:npm/left-pad@1.*"}},
		{Facts{Version: "2", Hosted: true, Claim: "acme", Ours: true}, []string{
			"cool unconcerned: what is published here does not wait", "acme pass: the claim acme covers the name, and it is published here",
			"origin pass: the name was first published here, and so was this",
		}},
		{Facts{Version: "2", Claim: "acme", Ours: true}, []string{"acme refuse: left-pad is claimed", "origin refuse: left-pad was first published here"}},
		{Facts{Version: "2", Pinned: "a"}, []string{"cool2 pass: versions without a known time of publication pass it", "pin undecided: the file must have the SHA-256 a"}},
		{Facts{Version: "2", Pinned: "a", Digest: "a"}, []string{"pin pass: the file has the bytes that were first seen"}},
		{Facts{Version: "2", Pinned: "a", Digest: "b"}, []string{"pin refuse: left-pad 2 has other bytes"}},
		{Facts{Version: "2", FirstSeen: noon().Add(-30 * hour)}, []string{"cool pass: left-pad 2 has no known time of publication and was first seen here 30 h ago"}},
	} {
		var got string
		for _, f := range s.Explain(c.facts, noon()) {
			got += f.Rule + " " + string(f.Verdict) + ": " + f.Reason + "\n"
		}
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%+v: got\n%swant %s", c.facts, got, want)
			}
		}
	}
}
