package image

import "testing"

// TestFits: which entry of an index is for a platform that is wanted.
func TestFits(t *testing.T) {
	for _, tt := range []struct {
		entry  platform
		wanted string
		want   bool
	}{
		{platform{"linux", "amd64", ""}, "linux/amd64", true},
		{platform{"linux", "amd64", ""}, "linux/arm64", false},
		{platform{"windows", "amd64", ""}, "linux/amd64", false},
		{platform{"linux", "arm", "v6"}, "linux/arm", true},
		{platform{"linux", "arm", "v6"}, "linux/arm/v6", true},
		{platform{"linux", "arm", "v6"}, "linux/arm/v7", false},
		{platform{"linux", "arm64", "v8"}, "linux/arm64", true},
		{platform{"linux", "arm64", "v8"}, "linux/arm64/v8", true},
		{platform{"linux", "arm64", ""}, "linux/arm64/v8", true}, // there is no other
		{platform{"linux", "arm64", ""}, "linux/arm64/v9", false},
		{platform{"linux", "amd64", ""}, "linux/amd64/v8", false},
	} {
		if got := tt.entry.fits([]string{"plan9/mips", tt.wanted}); got != tt.want {
			t.Errorf("%s for %s: %t", tt.entry, tt.wanted, got)
		}
		if err := CheckPlatform(tt.wanted); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"", "linux", "linux/", "/amd64", "linux/arm/v6/x", "linux/amd64,linux/arm64"} {
		if CheckPlatform(bad) == nil {
			t.Errorf("%q is a platform", bad)
		}
	}
}
