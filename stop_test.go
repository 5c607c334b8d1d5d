package banger_test

import (
	"testing"
	"time"

	"banger"
)

func TestStopRequest_TheZeroValueIsAStopWithTheDefaultGrace(t *testing.T) {
	systemd := banger.VM{Init: banger.InitSystemd}
	for _, c := range []struct{ got, want time.Duration }{
		{banger.StopRequest{}.WithDefaults().Grace, banger.DefaultStopGrace},
		{banger.StopRequest{Kill: true}.WithDefaults().Grace, 0},
		{banger.StopRequest{Grace: time.Second}.WithDefaults().Grace, time.Second},
		{banger.VMStopRequest{}.WithDefaults(banger.VM{}).Grace, banger.DefaultVMStopGrace},
		{banger.VMStopRequest{}.WithDefaults(banger.VM{Init: banger.InitBanger}).Grace, banger.DefaultVMStopGrace},
		{banger.VMStopRequest{}.WithDefaults(systemd).Grace, banger.DefaultSystemdStopGrace},
		{banger.VMStopRequest{Kill: true}.WithDefaults(systemd).Grace, 0},
		{banger.VMStopRequest{Grace: time.Second}.WithDefaults(systemd).Grace, time.Second},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
	for name, err := range map[string]error{
		"kill of a session with a grace": banger.StopRequest{Kill: true, Grace: time.Second}.Validate(),
		"kill of a VM with a grace":      banger.VMStopRequest{Kill: true, Grace: time.Second}.Validate(),
		"negative grace of a VM":         banger.VMStopRequest{Grace: -1}.Validate(),
	} {
		if banger.CodeOf(err) != banger.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
