package banger_test

import (
	"encoding/json"
	"testing"

	"banger"
)

func FuzzByteString_EveryByteArrives(f *testing.F) {
	for _, s := range []string{"", "plain", "\xff\xfe", "a\nb\"c\\", "\u2028<>&", "{\"base64\":\"YQ==\"}", "\xed\xa0\x80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		data, err := json.Marshal(banger.ByteString(s))
		if err != nil {
			t.Fatal(err)
		}
		var got banger.ByteString
		if err := json.Unmarshal(data, &got); err != nil || string(got) != s {
			t.Errorf("%q became %q by %s: %v", s, got, data, err)
		}
	})
}
