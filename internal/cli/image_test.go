package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"banger"
)

// writeFiles writes files below a directory; each can be run.
func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o700); err != nil { //nolint:gosec // programs
			t.Fatal(err)
		}
	}
}

func TestImagePull_LogsInAsDockersConfigurationSays(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("THE_SECRET", "from the helper")
	writeFiles(t, dir, map[string]string{
		"config.json": `{"auths": {"stored.example": {"auth": "bWU6c2VjcmV0"}},
			"credHelpers": {"helped.example": "works", "broken.example": "broken"}}`,
		// It needs the environment of its user, as those do that ask for a passphrase.
		"docker-credential-works":  "#!/bin/sh\necho '{\"Username\": \"you\", \"Secret\": \"'\"$THE_SECRET\"'\"}'\n",
		"docker-credential-broken": "#!/bin/sh\necho it is locked; exit 1\n",
	})
	for ref, want := range map[string]banger.RegistryLogin{
		"stored.example/a:1": {Username: "me", Password: "secret"},
		"helped.example/a":   {Username: "you", Password: "from the helper"},
		"other.example/a":    {},
		"node:22":            {},
	} {
		f := &fake{}
		f.must(t, "image", "pull", ref)
		switch got := f.pulled.Login; {
		case f.pulled.Reference != ref:
			t.Errorf("%s: asked for %q", ref, f.pulled.Reference)
		case got == nil && want != banger.RegistryLogin{}, got != nil && *got != want:
			t.Errorf("%s: logs in with %+v, want %+v", ref, got, want)
		}
	}
	f := &fake{}
	if r := f.run(t, "", "image", "pull", "broken.example/a"); r.status != 125 || !strings.Contains(r.stderr, "docker login broken.example") || f.pulled.Reference != "" {
		t.Errorf("with a helper that fails: status %d, asked for %q\n%s", r.status, f.pulled.Reference, r.stderr)
	}
}

func TestImagePull_ReportsEachLayerWithBytesAndRate(t *testing.T) {
	f := &fake{pulls: []banger.PullProgress{
		{Stage: banger.PullResolving},
		{Stage: banger.PullPresent, Layer: 1, Layers: 2},
		{Stage: banger.PullFetching, Layer: 2, Layers: 2, TotalBytes: 4 << 20},
		{Stage: banger.PullFetching, Layer: 2, Layers: 2, Bytes: 1, TotalBytes: 4 << 20, BytesPerSecond: 1},
		{Stage: banger.PullFetching, Layer: 2, Layers: 2, Bytes: 2 << 20, TotalBytes: 4 << 20, BytesPerSecond: 1 << 20, ElapsedMS: 2000},
		{Stage: banger.PullStored, Layer: 2, Layers: 2, Bytes: 0, TotalBytes: 4 << 20, ElapsedMS: 3000},
		{Stage: banger.PullDone, Layers: 2, ElapsedMS: 3100},
	}, images: []banger.Image{{ID: "i1", Name: "node:22"}}}
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	r := f.run(t, "", "image", "pull", "node:22")
	const want = "   0.0s  resolving\n   0.0s  layer 1/2 present\n   0.0s  layer 2/2 fetching 0B of 4.0M\n" +
		"   2.0s  layer 2/2 fetching 2.0M of 4.0M, 1.0M/s\n   3.0s  layer 2/2 stored\n   3.1s  done\n"
	if r.stderr != want || r.stdout != "node:22 i1\n" {
		t.Errorf("stdout %q, stderr %q, want %q", r.stdout, r.stderr, want)
	}
}

func TestVMCreate_PullsAnImageThatIsNotHere(t *testing.T) {
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	for image, want := range map[string]string{
		"node:22": "node:22", "registry.example/a/b:1": "registry.example/a/b:1", "docker.io/library/here:1": "", "here:1": "", "web": "",
		"default": "", "": "", string(banger.NewVMID()): "",
	} {
		for _, command := range [][]string{{"vm", "create", "x"}, {"run", "--tty=false"}} {
			f := &fake{strict: true, images: []banger.Image{{ID: "i1", Name: "default", Tags: []string{"here:1", "web"}}}}
			if command = append(command, "--image", image); command[0] == "run" {
				command = append(command, "--", "true")
			}
			r := f.run(t, "", command...)
			if f.pulled.Reference != want {
				t.Errorf("%v: pulled %q, want %q: %+v", command, f.pulled.Reference, want, r)
			}
			if said := strings.Contains(r.stderr, "pulling"); said != (want != "") {
				t.Errorf("%v: says %q", command, r.stderr)
			}
		}
	}
}

func TestImageShow_SaysWhatAnOCIImageIs(t *testing.T) {
	f := &fake{images: []banger.Image{{ID: "i1", Name: "node:22", Tags: []string{"node:lts"}, SizeBytes: 3 << 20, OCI: &banger.OCIImage{
		Source: "index.docker.io/library/node:22", Digest: "sha256:d", ConfigDigest: "sha256:c", Platform: "linux/amd64",
		Config: banger.ImageConfig{Entrypoint: []string{"/a b", "c"}, Env: []string{"A=1", "B=2"}, User: "node", WorkingDir: "/app", StopSignal: "SIGINT"},
		Layers: []banger.ImageLayer{{Digest: "sha256:l", ChainID: "sha256:l", SizeBytes: 3 << 20}},
	}}}}
	out := f.must(t, "image", "show", "node:lts")
	for _, want := range []string{"node:lts", "index.docker.io/library/node:22", "sha256:d", "sha256:c", "linux/amd64", `["/a b" "c"]`, "A=1", "B=2", "/app", "SIGINT", "sha256:l 3.0M"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if out := f.must(t, "image", "ls"); !strings.Contains(out, "node:22, node:lts") || !strings.Contains(out, "oci, 1 layer ") {
		t.Errorf("the list is\n%s", out)
	}
}

func TestImagePrune_SaysWhatGoes(t *testing.T) {
	f := &fake{prunedImages: banger.ImagePruneResult{Images: []banger.Image{{ID: "i1", Name: "old"}}, ReclaimedBytes: 5 << 20}}
	for flag, want := range map[string]string{"--dry-run": "banger: 5.0M would be freed\n", "--dry-run=false": "banger: 5.0M freed\n"} {
		if r := f.run(t, "", "image", "prune", flag); r.status != 0 || r.stderr != want || !strings.Contains(r.stdout, "old") {
			t.Errorf("%s: %+v", flag, r)
		}
	}
}
