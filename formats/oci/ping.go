package oci

import "larder/formats"

// servePing tells clients that this is a registry, and that they need not sign in.
func (s *serving) servePing() error {
	body := []byte("{}")
	return formats.Reply(s.w, s.r, &formats.Content{Bytes: body, Size: int64(len(body)), MediaType: "application/json"})
}
