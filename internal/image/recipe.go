package image

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"banger"
)

// recipeVersion is raised when the same recipe is to make another image.
const recipeVersion = 2

// basePackages are in every image beside Debian's minimum. The kernel is
// Debian's for virtual machines: all of virtio, few drivers. The others are what
// a developer misses first: certificates, for anything that speaks TLS; ip and
// ss; ps, top, kill and free; git, curl, an editor, a pager, Python, which also
// Ansible needs, and rsync, which has to be at both ends. The agent itself needs
// none of them. README.md lists them.
func basePackages() []string {
	return []string{
		"linux-image-cloud-amd64",
		"ca-certificates", "curl", "git", "iproute2", "less", "procps", "python3", "rsync", "sudo", "vim-tiny",
	}
}

// normalise returns the recipe in the form in which equal ones are equal.
func normalise(r banger.ImageRecipe) banger.ImageRecipe {
	if r.Suite == "" {
		r.Suite = banger.DefaultSuite
	}
	r.Include = slices.Compact(slices.Sorted(slices.Values(r.Include)))
	r.Mirror = strings.TrimRight(r.Mirror, "/")
	return r
}

// complete returns a normal recipe with all packages, as it is built.
func complete(r banger.ImageRecipe) banger.ImageRecipe {
	r.Include = append(basePackages(), r.Include...)
	return normalise(r)
}

// recipeDigest is the SHA-256 of all that decides what a normal recipe makes.
func recipeDigest(r banger.ImageRecipe) (string, error) {
	data, err := json.Marshal(struct {
		Version int                `json:"version"`
		Recipe  banger.ImageRecipe `json:"recipe"`
	}{recipeVersion, complete(r)})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}

// buildArguments returns what follows "banger image build" to make an image.
func buildArguments(i banger.Image) string {
	var b strings.Builder
	switch i.Name {
	case banger.DefaultImageName:
	case "":
		b.WriteString(" NAME")
	default:
		b.WriteString(" " + i.Name)
	}
	if i.Recipe.Suite != banger.DefaultSuite {
		b.WriteString(" --suite " + i.Recipe.Suite)
	}
	for _, p := range i.Recipe.Include {
		b.WriteString(" --include " + p)
	}
	if i.Recipe.Mirror != "" {
		b.WriteString(" --mirror " + i.Recipe.Mirror)
	}
	return b.String()
}
