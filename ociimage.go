package banger

import (
	"strings"
)

// OCIImage is what an image is that came from a registry, a directory or an archive, in the
// terms of the image-spec of the Open Container Initiative.
type OCIImage struct {
	Source       string       `json:"source" doc:"where it came from: its full name in a registry, or the path of a file or directory"`
	Digest       string       `json:"digest,omitempty" doc:"sha256 of its manifest; absent if it came without one, as from docker save before version 25"`
	ConfigDigest string       `json:"config_digest" doc:"sha256 of its configuration: what docker and podman call the image's ID"`
	Platform     string       `json:"platform" doc:"operating system, architecture and variant, such as linux/amd64"`
	Config       ImageConfig  `json:"config"`
	Layers       []ImageLayer `json:"layers" doc:"the lowest first"`
}

// ImageConfig is how the author of an image wants its command to be run. It is a stranger's.
type ImageConfig struct {
	Entrypoint []string `json:"entrypoint,omitempty" doc:"begins the command"`
	Cmd        []string `json:"cmd,omitempty" doc:"continues the command unless other arguments are given"`
	Env        []string `json:"env,omitempty" doc:"variables, each NAME=VALUE"`
	User       string   `json:"user,omitempty" doc:"USER, or USER:GROUP, by name or number; default: root"`
	WorkingDir string   `json:"working_dir,omitempty" doc:"default: /"`
	StopSignal string   `json:"stop_signal,omitempty" doc:"name or number; default: SIGTERM"`
}

// ImageLayer is a layer of an image, which images with the same layers up to it share.
type ImageLayer struct {
	Digest    string `json:"digest" doc:"sha256 of its archive, uncompressed: the DiffID of the image-spec"`
	ChainID   string `json:"chain_id" doc:"sha256 of it and all layers below, as the image-spec has it; equal ones are stored once"`
	SizeBytes int64  `json:"size_bytes" doc:"of its file system on this host"`
}

// maxImageConfigBytes bounds what an image's configuration has in records and events. Those
// of known images have a few thousand.
const maxImageConfigBytes = 32 << 10

// Validate checks what a stranger has written.
func (c ImageConfig) Validate() error {
	bytes := 0
	for _, list := range [][]string{c.Entrypoint, c.Cmd, c.Env, {c.User, c.WorkingDir, c.StopSignal}} {
		for _, s := range list {
			if strings.ContainsRune(s, 0) {
				return Errorf(CodeInvalid, "cannot take image: its configuration has a NUL byte in %.100q", s)
			}
			bytes += len(s) + 1
		}
	}
	if bytes > maxImageConfigBytes {
		return Errorf(CodeInvalid, "cannot take image: its configuration has %d bytes of commands and environment, more than %d", bytes, maxImageConfigBytes)
	}
	for _, v := range c.Env {
		if name, _, ok := strings.Cut(v, "="); !ok || name == "" {
			return Errorf(CodeInvalid, "cannot take image: its configuration has the environment variable %.100q, which is not NAME=VALUE", v)
		}
	}
	return nil
}

// Environment returns the variables. It leaves out those whose names no shell knows, such as
// a.b: sessions do not take them.
func (c ImageConfig) Environment() map[string]ByteString {
	env := map[string]ByteString{}
	for _, v := range c.Env {
		if name, value, ok := strings.Cut(v, "="); ok && validEnvName(name) {
			env[name] = ByteString(value)
		}
	}
	return env
}

// PullRequest asks for an image from a registry.
type PullRequest struct {
	Reference string         `json:"reference" required:"true" doc:"the image's name, as docker and podman have it: node:22, registry.example/team/image@sha256:…"`
	Platform  string         `json:"platform,omitempty" doc:"OS/ARCHITECTURE[/VARIANT]; default: that of the host, which guests have"`
	Name      string         `json:"name,omitempty" doc:"the image's name here; default: the reference in its short form, such as node:22"`
	MaxBytes  int64          `json:"max_bytes,omitempty" doc:"of the layers that are not here, unpacked; default: 16 GiB, and then none of them may, beyond its first GiB, be more than 20 times as large as it comes"`
	Login     *RegistryLogin `json:"login,omitempty" doc:"how to log in to the registry; default: without a name. It is not stored"`
}

// RegistryLogin is what a registry wants of whoever logs in: a name and a password, or one
// of the tokens. The daemon keeps it for the request that has it, and nowhere else.
type RegistryLogin struct {
	Username      string `json:"username,omitempty" doc:"goes with password"`
	Password      string `json:"password,omitempty" doc:"or a token in the place of one"`
	IdentityToken string `json:"identity_token,omitempty" doc:"of OAuth 2: exchanged for a token of the registry"`
	RegistryToken string `json:"registry_token,omitempty" doc:"sent to the registry as it is"`
}

// ImportRequest asks for an image from a file or directory.
type ImportRequest struct {
	Path     string `json:"path" required:"true" doc:"absolute path on the daemon's host: a directory in the OCI image layout, an archive of one, or what docker save or podman save has written; for one of several images in a layout, PATH:TAG"`
	Platform string `json:"platform,omitempty" doc:"OS/ARCHITECTURE[/VARIANT]; default: that of the host, which guests have"`
	Name     string `json:"name,omitempty" doc:"the image's name here; default: the one that it has in the file"`
	MaxBytes int64  `json:"max_bytes,omitempty" doc:"of the layers that are not here, unpacked; default: 16 GiB, and then none of them may, beyond its first GiB, be more than 20 times as large as it comes"`
}

// PullStage is what a pull or an import does.
type PullStage string

// The stages of a pull or an import.
const (
	PullResolving PullStage = "resolving" // what the image is made of
	PullWaiting   PullStage = "waiting"   // for another pull of the same image
	PullPresent   PullStage = "present"   // a layer is there already
	PullFetching  PullStage = "fetching"  // a layer comes from the registry
	PullUnpacking PullStage = "unpacking" // a layer becomes a file system
	PullStored    PullStage = "stored"    // a layer has become one
	PullDone      PullStage = "done"      // the image is there
)

// PullProgress is one report of a running pull or import.
type PullProgress struct {
	Stage          PullStage `json:"stage"`
	Layer          int       `json:"layer,omitempty" doc:"the layer that this is about, from 1, the lowest; absent if it is about the image"`
	Layers         int       `json:"layers,omitempty" doc:"how many layers the image has; absent until that is known"`
	Bytes          int64     `json:"bytes,omitempty" doc:"how much of the layer's archive this stage has done"`
	TotalBytes     int64     `json:"total_bytes,omitempty" doc:"size of the layer's archive as it comes, compressed or not"`
	BytesPerSecond int64     `json:"bytes_per_second,omitempty" doc:"in this stage of this layer"`
	ElapsedMS      int64     `json:"elapsed_ms" doc:"milliseconds since the request began"`
}

// TagRequest asks for one more name of an image.
type TagRequest struct {
	Name string `json:"name" required:"true" doc:"letters, digits and -_./:@, beginning with a letter or digit; another image of that name loses it"`
}

// ImagePruneRequest asks for the images that no VM needs to be deleted, but for the default one.
type ImagePruneRequest struct {
	All    bool `json:"all,omitempty" doc:"also the default image, which the next VM would need"`
	DryRun bool `json:"dry_run,omitempty" doc:"only report what would be deleted"`
}

// ImagePruneResult is what was, or would be, deleted.
type ImagePruneResult struct {
	Images         []Image `json:"images" doc:"the images, oldest first"`
	ReclaimedBytes int64   `json:"reclaimed_bytes" doc:"of the host's disk, without what other images share"`
}
