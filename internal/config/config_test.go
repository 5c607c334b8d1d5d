package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"banger"
	"banger/internal/config"
)

func load(t *testing.T, text string) (config.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.Load(path)
}

func TestLoad_ReadsWhatIsSet(t *testing.T) {
	for text, want := range map[string]banger.Retention{
		"":                           {Keep: new(5000)},
		"# nothing":                  {Keep: new(5000)},
		"# nothing\n[retention]\n":   {},
		"[retention]\nkeep = 0":      {Keep: new(int)},
		"retention.max_size = '10G'": {MaxBytes: 10 << 30},
		"[retention]\nolder_than = \"720h\"\nkeep = 100 # of each VM\nmax_size = \"512M\"": {OlderThan: 720 * time.Hour, Keep: new(100), MaxBytes: 512 << 20},
	} {
		got, err := load(t, text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		}
		if diff := cmp.Diff(want, got.Retention); diff != "" {
			t.Errorf("%q: %s", text, diff)
		}
	}
	if c, err := config.Load(filepath.Join(t.TempDir(), "config.toml")); err != nil || !reflect.DeepEqual(c.Retention, config.DefaultRetention()) {
		t.Errorf("without a file: %+v, %v", c, err)
	}
}

func TestLoad_ReadsTheMirrorsOfRegistries(t *testing.T) {
	got, err := load(t, "[registries.\"docker.io\"]\nmirrors = [\"mirror.example:5000\", \"localhost/hub/all\"]\n[registries.\"localhost\"]\n")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{"docker.io": {"mirror.example:5000", "localhost/hub/all"}, "localhost": nil}
	if diff := cmp.Diff(want, got.Mirrors); diff != "" {
		t.Error(diff)
	}
	for _, text := range []string{"https://mirror.example", "mirror", "", "/x.y", "a.b/", "a.b//c", "a.b c", strings.Repeat("a.", 300)} {
		if _, err := load(t, "[registries.\"docker.io\"]\nmirrors = [\""+text+"\"]\n"); err == nil || !strings.Contains(err.Error(), "docker.io") {
			t.Errorf("a mirror %q: %v", text, err)
		}
	}
	if _, err := load(t, "[registries.\"docker.io/library\"]\nmirrors = []\n"); err == nil {
		t.Error("a registry with a path is taken")
	}
}

func TestLoad_NamesFileLineAndKeyOfWhatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"[retention]\nkeep = 3\nolder = \"1h\"":   "line 3: key retention.older is not known",
		"\n[retentoin]\nkeep = 3":                 "line 2: key retentoin",
		"keep = 3":                                "line 1: key keep is not known",
		"[retention]\nkeep = \"3\"":               "line 2: key retention.keep",
		"[retention]\n\nkeep = -1":                "key retention.keep",
		"[retention]\nolder_than = \"1 week\"":    "line 2: key retention.older_than",
		"[retention]\nolder_than = \"-1h\"":       "line 2: key retention.older_than",
		"[retention]\nolder_than = 720":           "line 2: key retention.older_than",
		"[retention]\nmax_size = \"10\"":          "line 2: key retention.max_size",
		"[retention]\nmax_size = 10":              "line 2: key retention.max_size",
		"[retention\n":                            "line 1",
		"[retention]\nkeep = 1\nkeep = 2":         "line 3",
		strings.Repeat("# a long line\n", 100000): "more than",
	} {
		_, err := load(t, text)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "config.toml") {
			t.Errorf("%.60q: %v, want %q", text, err, want)
		}
	}
}
