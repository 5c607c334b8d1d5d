package cli

import (
	"strconv"

	"banger"
	"banger/internal/config"
)

// sizeMiB is the value of a flag such as --memory: a whole number of MiB, given
// with a unit. Zero is not given.
type sizeMiB int

// String implements pflag.Value.
func (s *sizeMiB) String() string {
	switch n := int(*s); {
	case n == 0:
		return ""
	case n%1024 == 0:
		return strconv.Itoa(n/1024) + "G"
	default:
		return strconv.Itoa(n) + "M"
	}
}

// Type implements pflag.Value; it is what --help shows.
func (s *sizeMiB) Type() string { return "SIZE" }

// Set implements pflag.Value.
func (s *sizeMiB) Set(text string) error {
	n, err := config.ParseSize(text)
	if err != nil {
		return err
	}
	*s = sizeMiB(n >> 20)
	return nil
}

// logLimit is the value of --log-limit in bytes: a size, or none as in
// Launch.LogLimit.
type logLimit int64

const noLimit = "none"

// String implements pflag.Value.
func (l *logLimit) String() string {
	if *l == banger.NoLogLimit {
		return noLimit
	}
	size := sizeMiB(*l >> 20)
	return size.String()
}

// Type implements pflag.Value; it is what --help shows.
func (l *logLimit) Type() string { return "SIZE|none" }

// Set implements pflag.Value.
func (l *logLimit) Set(text string) error {
	if text == noLimit {
		*l = banger.NoLogLimit
		return nil
	}
	var size sizeMiB
	if err := size.Set(text); err != nil {
		return err
	}
	*l = logLimit(size) << 20
	return nil
}

// formatBytes shows a size with the largest unit that keeps it at least 1.
func formatBytes(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return strconv.FormatInt(n, 10) + "B"
	}
	value, i := float64(n)/1024, 0
	for value >= 1024 && i < len(units)-1 {
		value /= 1024
		i++
	}
	return strconv.FormatFloat(value, 'f', 1, 64) + units[i:i+1]
}

// formatMiB shows a size that was given in MiB, in the form of the flags.
func formatMiB(n int) string {
	s := sizeMiB(n)
	return s.String()
}
