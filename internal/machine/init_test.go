package machine

import (
	"archive/tar"
	"bytes"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"banger"
	"banger/internal/image/ext4"
)

// root makes a file system with files of these names; one that begins with "!" is removed from what lies below.
func root(t *testing.T, names ...string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range names {
		h := tar.Header{Typeflag: tar.TypeReg, Name: strings.TrimPrefix(name, "!"), Mode: 0o755}
		if strings.HasPrefix(name, "!") {
			h.Typeflag = tar.TypeChar
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "root.ext4")
	if err := ext4.FromTar(&b, path); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestInit_IsSystemdIfAskedForOrTheImagesOwnCommandAndThere(t *testing.T) {
	has, hasNot := root(t, "usr/lib/systemd/systemd"), root(t, "bin/sh")
	old, removed := root(t, "lib/systemd/systemd"), root(t, "!usr/lib/systemd/systemd")
	command := func(argv ...string) *banger.ImageConfig { return &banger.ImageConfig{Cmd: argv} }
	for name, c := range map[string]struct {
		asked  banger.Init
		roots  []string
		config *banger.ImageConfig
		want   banger.Init // none: it is refused
	}{
		"not asked for":           {"", []string{has}, nil, banger.InitBanger},
		"asked for":               {banger.InitSystemd, []string{has}, nil, banger.InitSystemd},
		"in an upper layer":       {banger.InitSystemd, []string{hasNot, old}, nil, banger.InitSystemd},
		"not there":               {banger.InitSystemd, []string{hasNot, hasNot}, nil, ""},
		"removed":                 {banger.InitSystemd, []string{has, removed}, nil, ""},
		"the command":             {"", []string{has}, command("/sbin/init"), banger.InitSystemd},
		"the command, by name":    {"", []string{has}, command("/lib/systemd/systemd", "--unit=x.target"), banger.InitSystemd},
		"the command, refused":    {banger.InitBanger, []string{has}, command("/sbin/init"), banger.InitBanger},
		"another init's":          {"", []string{hasNot}, command("/sbin/init"), banger.InitBanger},
		"a command and asked for": {banger.InitSystemd, []string{has}, command("/bin/sh"), banger.InitSystemd},
	} {
		var before banger.ImageConfig
		if c.config != nil {
			before = *c.config
		}
		got, err := chooseInit(c.asked, "x:1", ImageFiles{Roots: c.roots}, c.config)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
		if c.want == "" && (banger.CodeOf(err) != banger.CodeInvalid || !strings.Contains(err.Error(), "x:1")) {
			t.Errorf("%s: %v", name, err)
		}
		if c.config == nil {
			continue
		}
		if own := c.want == banger.InitSystemd && before.Cmd[0] != "/bin/sh"; own == reflect.DeepEqual(*c.config, before) {
			t.Errorf("%s: of the command %q its sessions have %q", name, before.Cmd, c.config.Cmd)
		}
	}
}
