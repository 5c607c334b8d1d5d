package debversion_test

import (
	"testing"

	"banger/internal/debversion"
)

// The order is that of dpkg --compare-versions.
func TestCompare_IsDpkgsOrder(t *testing.T) {
	ascending := []string{
		"1.0~~", "1.0~~a", "1.0~", "1.0", "1.0-0.1", "1.0-1", "1.0a", "1.0+b1", "1.0.1", "1.2", "1.10", "1.10-1~deb12u1", "1.10-1",
		"6.1.176-1", "6.1.192-3", "6.12.107-1", "6.12.117-1~deb12u1", "6.12.117-1", "1:0.1",
	}
	for i, a := range ascending {
		for j, b := range ascending {
			got := debversion.Compare(a, b)
			if i < j && got >= 0 || i > j && got <= 0 || i == j && got != 0 {
				t.Errorf("%s and %s compare as %d", a, b, got)
			}
		}
	}
	for a, b := range map[string]string{"1.0": "1.0-0", "0:1.0": "1.0", "1.01": "1.1"} {
		if got := debversion.Compare(a, b); got != 0 {
			t.Errorf("%s and %s compare as %d, and are equal", a, b, got)
		}
	}
}
