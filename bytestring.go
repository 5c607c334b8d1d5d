package banger

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// ByteString is a string of arbitrary bytes without NUL: an argument, an
// environment value, a path (POSIX.1-2017, 3.271 and exec). In JSON it is a
// plain string if it is valid UTF-8, else {"base64": "…"}, so that bytes that
// are not text arrive unchanged.
type ByteString string

type byteStringBase64 struct {
	Base64 []byte `json:"base64"`
}

// MarshalJSON implements json.Marshaler.
func (b ByteString) MarshalJSON() ([]byte, error) {
	if utf8.ValidString(string(b)) {
		return json.Marshal(string(b))
	}
	return json.Marshal(byteStringBase64{[]byte(b)})
}

// UnmarshalJSON implements json.Unmarshaler.
func (b *ByteString) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '{' {
		var v byteStringBase64
		if err := json.Unmarshal(data, &v); err != nil {
			return fmt.Errorf("cannot decode byte string: %w", err)
		}
		*b = ByteString(v.Base64)
		return nil
	}
	var s string
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	*b = ByteString(s)
	return nil
}

// hasNUL reports whether b holds the one byte that no argument, environment
// value or path can carry.
func (b ByteString) hasNUL() bool { return strings.IndexByte(string(b), 0) >= 0 }

// Strings returns the byte strings as ordinary strings.
func Strings(list []ByteString) []string {
	out := make([]string, len(list))
	for i, b := range list {
		out[i] = string(b)
	}
	return out
}

// ByteStrings is the inverse of Strings.
func ByteStrings(list []string) []ByteString {
	out := make([]ByteString, len(list))
	for i, s := range list {
		out[i] = ByteString(s)
	}
	return out
}
