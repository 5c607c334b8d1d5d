package jsonfault

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"banger"
)

func TestDescribe_SpeaksOfJSONAndNotOfGo(t *testing.T) {
	type inner struct {
		Rows uint16 `json:"rows"`
	}
	type Embedded struct {
		TTY bool `json:"tty"`
	}
	for document, want := range map[string]string{
		`{"cpus":"two"}`:                "member cpus is a string and has to be an integer",
		`{"cpus":1.5}`:                  "member cpus is 1.5 and has to be an integer",
		`{"name":5}`:                    "member name is a number and has to be a string",
		`{"command":5}`:                 "member command is a number and has to be a string",
		`{"tty":"yes"}`:                 "member tty is a string and has to be true or false",
		`{"args":{}}`:                   "member args is an object and has to be an array",
		`{"env":[]}`:                    "member env is an array and has to be an object",
		`{"window":{"rows":70000}}`:     "member window.rows is 70000 and has to be an integer from 0 to 65535",
		`{"load":true}`:                 "member load is true or false and has to be a number",
		`[]`:                            "it is an array and has to be an object",
		`{"nmae":"dev"}`:                `there is no member "nmae"`,
		`{"name":"dev"`:                 "unexpected EOF",
		`{"command":{"base64":"!"}}`:    "base64",
		`{"name":"dev","cpus":1,}`:      "invalid character",
		`{"cpus":99999999999999999999}`: "member cpus is 99999999999999999999 and has to be an integer",
	} {
		var v struct {
			Name string `json:"name"`
			CPUs int    `json:"cpus"`
			Embedded
			Load    float64               `json:"load"`
			Command banger.ByteString     `json:"command"`
			Args    []banger.ByteString   `json:"args"`
			Env     map[string]string     `json:"env"`
			Window  *inner                `json:"window"`
			Extra   map[string]*[]float64 `json:"extra"`
		}
		d := json.NewDecoder(strings.NewReader(document))
		d.DisallowUnknownFields()
		err := Describe(d.Decode(&v))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", document, err, want)
			continue
		}
		for _, word := range []string{"Go ", "struct", "json:", "int64", "uint", "[]", "jsonfault", "banger.", "Embedded"} {
			if strings.Contains(err.Error(), word) {
				t.Errorf("%s: %q speaks of Go: %q", document, err, word)
			}
		}
	}
}

func TestDescribe_LeavesOtherErrorsAlone(t *testing.T) {
	if err := errors.New("cut"); !errors.Is(Describe(err), err) || Describe(nil) != nil {
		t.Error("an error was changed")
	}
}
