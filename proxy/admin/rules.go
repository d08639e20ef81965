package admin

import (
	"context"
	"time"

	"larder/policy"
	"larder/policy/rulebook"
	"larder/policy/rules"
)

// Rules is what the API needs to know of the rules in force, and to change of
// their waivers; rulebook.Book is the real one.
type Rules interface {
	Rules(actor policy.Subject) ([]rulebook.Rule, error)
	// Rule returns one rule; ok is false where there is none now.
	Rule(id string) (r rulebook.Rule, ok bool)
	Waivers(actor policy.Subject) ([]rulebook.Waiver, error)
	Waive(ctx context.Context, actor policy.Subject, w rules.Waiver) (rulebook.Waiver, error)
	Unwaive(ctx context.Context, actor policy.Subject, id string) error
}

// RuleList is the answer of GET /api/v1/policy/rules.
type RuleList struct {
	Rules []rulebook.Rule `json:"rules" doc:"In the order in which they are asked."`
}

func (c *call) listRules(none, none) (RuleList, error) {
	list, err := c.Rules.Rules(c.caller)
	return RuleList{list}, err
}

// WaiverList is the answer of GET /api/v1/policy/waivers.
type WaiverList struct {
	Waivers []rulebook.Waiver `json:"waivers" doc:"Those of the configuration and of the API."`
}

func (c *call) listWaivers(none, none) (WaiverList, error) {
	list, err := c.Rules.Waivers(c.caller)
	if list == nil {
		list = []rulebook.Waiver{}
	}
	return WaiverList{list}, err
}

// NewWaiver is the body of POST /api/v1/policy/waivers; all of it is needed.
type NewWaiver struct {
	Rule  string    `json:"rule" min:"1" doc:"Id of the rule."`
	Match []string  `json:"match" min:"1" doc:"Patterns of package URLs."`
	Until time.Time `json:"until" doc:"When it ends."`
	Why   string    `json:"why" min:"1" doc:"Why, for whoever asks."`
}

func (c *call) addWaiver(_ none, in NewWaiver) (created[rulebook.Waiver], error) {
	made, err := c.Rules.Waive(c.r.Context(), c.caller, rules.Waiver{Rule: in.Rule, Match: in.Match, Until: in.Until, Why: in.Why})
	return created[rulebook.Waiver]{made, "/api/v1/policy/waivers/" + made.ID}, err
}

func (c *call) removeWaiver(none, none) (none, error) {
	return none{}, c.Rules.Unwaive(c.r.Context(), c.caller, c.r.PathValue("id"))
}
