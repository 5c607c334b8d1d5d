//go:build !unit

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"banger/api"
	"banger/sessionstream"
)

const root = "../../.."

func describe(t *testing.T) []byte {
	t.Helper()
	source, err := readSource(root)
	if err != nil {
		t.Fatal(err)
	}
	data, err := openAPI(source)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestGenerated_FilesAreFresh(t *testing.T) {
	files, err := generate(root)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is stale (%v); run go generate ./...", name, err)
		}
	}
}

func TestOpenAPI_EveryReferenceLeadsSomewhere(t *testing.T) {
	data := describe(t)
	var document struct {
		Paths      map[string]map[string]any
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal(data, &document); err != nil {
		t.Fatal(err)
	}
	operations := 0
	for _, methods := range document.Paths {
		operations += len(methods)
	}
	if want := len(api.Routes()); operations != want {
		t.Errorf("%d operations are described, there are %d routes", operations, want)
	}
	for _, part := range strings.Split(string(data), `"$ref": "#/components/schemas/`)[1:] {
		name, _, _ := strings.Cut(part, `"`)
		if document.Components.Schemas[name] == nil {
			t.Errorf("schema %s is referred to and not there", name)
		}
	}
	for _, name := range []string{"SessionState", "Session", "Code", "StreamClientControl", "StreamServerControl"} {
		if document.Components.Schemas[name] == nil {
			t.Errorf("there is no schema %s", name)
		}
	}
	// What nothing refers to is what is said on an attachment's connection.
	for name := range document.Components.Schemas {
		if !strings.Contains(string(data), `"#/components/schemas/`+name+`"`) && name != "StreamClientControl" && name != "StreamServerControl" {
			t.Errorf("nothing refers to schema %s", name)
		}
	}
	if strings.Contains(string(data), `"machine"`) {
		t.Error("the driver's reference to a machine is part of the API")
	}
}

// A member without a description is one that somebody has to ask us about.
func TestOpenAPI_NothingIsWithoutADescription(t *testing.T) {
	source, err := readSource(root)
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(){
		"schema LogEnd has no description":                      func() { source.types["banger.LogEnd"] = "" },
		"property StreamGrant.lease_ms has no description":      func() { source.fields["sessionstream.Grant.LeaseMS"] = "" },
		"the description of schema Check speaks of CodeInvalid": func() { source.types["banger.Check"] = "It is CodeInvalid." },
	} {
		change()
		if _, err := openAPI(source); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("got %v, want %q", err, what)
		}
	}
}

// Two rows for each code that a server sends: what it means, and what a client does.
func TestProtocolDoc_HasEveryControlAndCode(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs/PROTOCOL.md"))
	if err != nil {
		t.Fatal(err)
	}
	steps, rest, ok := strings.Cut(string(text), "\n## Bytes\n")
	if !ok {
		t.Fatal("docs/PROTOCOL.md has no chapter Bytes behind the steps of a client")
	}
	client, server := sessionstream.Controls()
	for _, c := range slices.Concat(client, server) {
		if !strings.Contains(rest, "\n| `"+sessionstream.TypeOf(c)+"` | ") {
			t.Errorf("docs/PROTOCOL.md has no row for control %s", sessionstream.TypeOf(c))
		}
	}
	source, err := readSource(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range source.constants["sessionstream.ErrorCode"] {
		if code.value == string(sessionstream.CodeEvicted) {
			continue // of the Go client only
		}
		for chapter, what := range map[string]string{steps: "what a client does about", rest: "the meaning of"} {
			if !regexp.MustCompile("(?m)^\\| [`a-z, ]*`" + code.value + "`[`a-z, ]* \\| .+ \\|$").MatchString(chapter) {
				t.Errorf("docs/PROTOCOL.md does not have %s code %s", what, code.value)
			}
		}
	}
}
