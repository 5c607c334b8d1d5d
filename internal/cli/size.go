package cli

import (
	"fmt"
	"strconv"
	"strings"

	"banger"
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

// Set implements pflag.Value. A number without a unit is refused: half the
// world would mean MiB by it and the other half bytes.
func (s *sizeMiB) Set(text string) error {
	number := strings.TrimRight(text, "abgimtABGIMT")
	unit := strings.ToLower(text[len(number):])
	var factor int
	switch strings.TrimSuffix(unit, "ib") {
	case "m":
		factor = 1
	case "g":
		factor = 1 << 10
	case "t":
		factor = 1 << 20
	default:
		return fmt.Errorf("%q is no size; give a whole number with M, G or T, such as 512M or 2G", text)
	}
	n, err := strconv.ParseUint(number, 10, 31)
	if err != nil || n == 0 {
		return fmt.Errorf("%q is no size; give a whole number with M, G or T, such as 512M or 2G", text)
	}
	const most = 1 << 40 // MiB; far beyond every limit, and no product below overflows
	if n > most/uint64(factor) {
		return fmt.Errorf("%q is more than can be counted", text)
	}
	*s = sizeMiB(int(n) * factor)
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
