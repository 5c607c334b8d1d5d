package config_test

import (
	"testing"

	"banger/internal/config"
)

func TestParseSize_TakesANumberWithAUnitAndNothingElse(t *testing.T) {
	for text, want := range map[string]int64{"1M": 1 << 20, "512MiB": 512 << 20, "2g": 2 << 30, "10GiB": 10 << 30, "1048576T": 1 << 60} {
		if got, err := config.ParseSize(text); got != want || err != nil {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "M", "0M", "10", "10K", "-1M", "1.5G", "1 G", "1048577T", "99999999999M", "1Mib2"} {
		if got, err := config.ParseSize(text); err == nil {
			t.Errorf("%q is taken for %d", text, got)
		}
	}
}
