//go:build lab

package kvmlab

import (
	"testing"

	"banger"
)

// The lab has no mmdebstrap.
func TestKVMLab_AnImageThatIsThereIsFoundByItsRecipeAndNotBuilt(t *testing.T) {
	l := sharedLab(t)
	l.logIn(t, labUser)
	l.banger(t, buildImage()...)
	if image := decode[banger.Image](t, l.banger(t, "image", "show", labImage, "--json")); image.ID != l.image.ID {
		t.Errorf("the lab has image %s, want %s", image.ID, l.image.ID)
	}
	l.banger(t, "daemon", "stop")
	l.logOut(t, labUser)
}
