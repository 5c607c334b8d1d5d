package remote

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"banger"
	"banger/internal/hosttest"
	"banger/sessionstream"
)

// Networks are as bad as they get: late, lossy, slow, with holes. What comes over them
// in the end is what was written, byte for byte, and what is sent arrives once.
func TestRemote_BadNetworksLoseNothing(t *testing.T) {
	const mbit = 1_000_000 / 8
	for name, c := range map[string]struct {
		hosttest.Shape
		fault func(r *rig, n *hosttest.Network)
	}{
		"200 ms":    {Shape: hosttest.Shape{Delay: 100 * time.Millisecond}},
		"lossy":     {Shape: hosttest.Shape{Delay: 5 * time.Millisecond, Loss: 0.05}},
		"1 Mbit/s":  {Shape: hosttest.Shape{BytesPerSecond: mbit}},
		"all of it": {Shape: hosttest.Shape{Delay: 100 * time.Millisecond, Loss: 0.05, BytesPerSecond: mbit}, fault: func(r *rig, _ *hosttest.Network) { r.server.Cut() }},
		"resets":    {Shape: hosttest.Shape{Delay: 20 * time.Millisecond}, fault: func(r *rig, _ *hosttest.Network) { r.server.Cut() }},
		"black holes": {fault: func(_ *rig, n *hosttest.Network) {
			time.AfterFunc(300*time.Millisecond, n.BlackHole())
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			network := &hosttest.Network{}
			r := newRig(t, hosttest.SSHOptions{Net: network.Through})
			r.mustAdd() // the upload is not a part of it
			network.Become(c.Shape)
			r.readAndWrite(func() {
				if c.fault != nil {
					c.fault(r, network)
				}
			})
		})
	}
}

// readAndWrite has a session write much and read some lines, with something that
// happens at each of them.
func (r *rig) readAndWrite(happens func()) {
	r.t.Helper()
	const lines, parts = 2500, 5
	r.start("talk", fmt.Sprintf(`for part in 1 2 3 4 5; do seq -f %%099.0f %d; read line; echo "$line"; done; exit 9`, lines/parts))
	var want strings.Builder
	for part := range parts {
		for n := range lines / parts {
			fmt.Fprintf(&want, "%099d\n", n+1)
		}
		fmt.Fprintf(&want, "answer %d\n", part)
	}
	a, err := r.Attach(r.t.Context(), "v", "talk", sessionstream.Attach{Role: sessionstream.RoleWriter, From: &banger.LogCursor{}})
	if err != nil {
		r.t.Fatal(err)
	}
	defer a.Close()
	var got strings.Builder
	for part := range parts {
		happens()
		if _, err := fmt.Fprintf(a, "answer %d\n", part); err != nil {
			r.t.Fatal(err)
		}
		happens()
		for got.Len() < want.Len()*(part+1)/parts {
			m, err := a.Receive()
			if err != nil {
				r.t.Fatal(err)
			}
			got.Write(m.Data)
		}
	}
	if x := r.wait("talk"); x.ExitCode == nil || *x.ExitCode != 9 {
		r.t.Errorf("%+v", x.SessionState)
	}
	if got.String() != want.String() {
		r.t.Errorf("%d bytes came, and not the %d that were written", got.Len(), want.Len())
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
