//go:build !unit

package image

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"banger"
	"banger/internal/image/mmdebstrap"
)

// A build of a real system is cancelled while packages are being installed.
func TestBuildImage_InterruptedBuildOfDebianLeavesNothing(t *testing.T) {
	f := newFixture(t, mmdebstrap.New())
	f.builds.need = usualSpace()
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the user went home")
	_, err := f.BuildImage(ctx, "default", banger.ImageRecipe{}, func(p banger.BuildProgress) {
		t.Logf("%5.1f%% %6d ms %s %s", p.Percent, p.ElapsedMS, p.Stage, p.Detail)
		if strings.HasPrefix(p.Stage, "installing") {
			cancel(cause)
		}
	})
	if !errors.Is(err, cause) {
		t.Fatalf("interrupted build: %v", err)
	}
	if left := f.leftovers(t); left != "" {
		t.Errorf("an interrupted build left %s", left)
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil || bytes.Contains(mounts, []byte(f.scratch)) {
		t.Errorf("an interrupted build left mounts, %v:\n%s", err, mounts)
	}
}
