package oci

import (
	"larder/formats"
	"larder/policy"
)

// servePing tells clients that this is a registry. They take a 200 for a sign
// that nothing here needs a credential, and send none from then on, even one that
// was typed in a moment ago: so only those who brought something get one. What
// everybody may see they see with a token of nobody.
func (s *serving) servePing() error {
	if err := s.mustAsk(); err != nil {
		return err
	}
	body := []byte("{}")
	return formats.Reply(s.w, s.r, &formats.Content{Bytes: body, Size: int64(len(body)), MediaType: "application/json"})
}

// mustAsk refuses those who have not been to the token service, nor signed in.
func (s *serving) mustAsk() error {
	if s.Caller.Anonymous() && !s.Caller.Guest {
		return refuse(policy.ErrNotSignedIn, codeUnauthorized, "sign in, or ask the token service for a token without doing so")
	}
	return nil
}

// mustList refuses those whose token is for something else than the list of
// images, and those that mustAsk refuses.
func (s *serving) mustList() error {
	if err := s.mustAsk(); err != nil {
		return err
	}
	if s.Caller.ForLists(s.Name()).Grants != nil {
		return policy.Decision{
			Verdict: policy.Challenge, Narrow: true, Reason: "this token is not for the list of images: ask the token service for one that is",
		}.Err()
	}
	return nil
}
