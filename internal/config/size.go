package config

import (
	"fmt"
	"strconv"
	"strings"
)

// ParseSize reads a whole number of MiB, GiB or TiB, such as 512M or 2G, and returns it in
// bytes. A number without a unit is refused: half the world would mean MiB by it and
// the other half bytes.
func ParseSize(text string) (int64, error) {
	number := strings.TrimRight(text, "abgimtABGIMT")
	unit := strings.ToLower(text[len(number):])
	var shift uint
	switch strings.TrimSuffix(unit, "ib") {
	case "m":
		shift = 20
	case "g":
		shift = 30
	case "t":
		shift = 40
	default:
		return 0, invalid(text)
	}
	n, err := strconv.ParseUint(number, 10, 31)
	if err != nil || n == 0 {
		return 0, invalid(text)
	}
	const most = 1 << 60 // far beyond every limit
	if n > most>>shift {
		return 0, fmt.Errorf("%q is more than can be counted", text)
	}
	return int64(n << shift), nil
}

func invalid(text string) error {
	return fmt.Errorf("%q is not a size; give a whole number with M, G or T, such as 512M or 2G", text)
}
