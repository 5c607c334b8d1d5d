package cli

import (
	"context"

	"github.com/google/go-containerregistry/pkg/authn"

	"banger"
	"banger/internal/imagename"
)

// registryLogin returns how this user logs in to the registry of an image, nil for one who
// does so without a name. It reads what docker and podman have stored, and runs their
// credential helpers, in the environment of the command line: that is where they work, and
// may ask (decision 38).
func registryLogin(ctx context.Context, ref string) (*banger.RegistryLogin, error) {
	parsed, err := imagename.Parse(ref)
	if err != nil {
		return nil, err
	}
	host := parsed.Context().RegistryStr()
	auth, err := authn.Resolve(ctx, authn.DefaultKeychain, parsed.Context())
	var c *authn.AuthConfig
	if err == nil {
		c, err = authn.Authorization(ctx, auth)
	}
	if err != nil {
		return nil, banger.Errorf(banger.CodeMissing, "cannot take image %s: your password for %s cannot be had: %w", ref, host, err).
			WithHint("see whether docker login %s or podman login %s works", host, host)
	}
	if *c == (authn.AuthConfig{}) {
		return nil, nil //nolint:nilnil // without a name
	}
	return &banger.RegistryLogin{Username: c.Username, Password: c.Password, IdentityToken: c.IdentityToken, RegistryToken: c.RegistryToken}, nil
}
