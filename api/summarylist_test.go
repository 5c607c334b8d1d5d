package api_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mailru/easyjson"

	"banger"
	"banger/api"
)

func TestSummaryList_IsTheJSONOfItsFields(t *testing.T) {
	code, at := 3, time.Date(2026, 11, 26, 1, 2, 3, 4, time.UTC)
	list := api.SummaryList{Sessions: []banger.SessionSummary{
		{},
		{
			ID: "i", VMID: "v", Name: "na\"me\u2028\x1b", CommandLine: "sh -c '<&>' \uFFFD", TTY: true, Status: banger.StatusFailed,
			ExitCode: &code, ExitSignal: "SIGKILL", EndedBy: banger.EndedByOOM, StdoutBytes: 1 << 60, StderrBytes: -1,
			CreatedAt: at, StartedAt: at, EndedAt: at, Tags: map[string]string{"k": "v", "": ""}, Revision: 7,
		},
	}}
	for name, marshal := range map[string]func() ([]byte, error){
		"generated": func() ([]byte, error) { return easyjson.Marshal(list) },
		"standard":  func() ([]byte, error) { return json.Marshal(list) },
	} {
		data, err := marshal()
		if err != nil {
			t.Fatal(err)
		}
		var generated, standard api.SummaryList
		if err := easyjson.Unmarshal(data, &generated); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(data, &standard); err != nil {
			t.Fatal(err)
		}
		for reader, got := range map[string]api.SummaryList{"generated": generated, "standard": standard} {
			if diff := cmp.Diff(list, got); diff != "" {
				t.Errorf("written by %s, read by %s code: %s", name, reader, diff)
			}
		}
	}
	var newer api.SummaryList
	if err := easyjson.Unmarshal([]byte(`{"x":[{}],"sessions":[{"new":{"a":[1]},"name":"n"}]}`), &newer); err != nil || newer.Sessions[0].Name != "n" {
		t.Errorf("of a newer daemon: %v, %v", newer, err)
	}
	if err := easyjson.Unmarshal([]byte(`{"sessions":[{"name":7}]}`), &newer); err == nil {
		t.Error("what makes no sense is read")
	}
}
