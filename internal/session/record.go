package session

import (
	"path"

	"banger"
	"banger/internal/records"
	"banger/internal/sessiondir"
)

// newSession is the record of a session that is about to be launched.
func newSession(vm banger.VMID, r banger.SessionRequest) banger.Session {
	return recordOf(banger.NewSessionID(), vm, r)
}

// recordOf is the record of a session before its guest has said anything of it.
func recordOf(id banger.SessionID, vm banger.VMID, r banger.SessionRequest) banger.Session {
	x := banger.Session{
		ID: id, VMID: vm, Name: r.Name, Launch: r.Launch, SecretEnv: r.SecretEnv.Names(), Tags: r.Tags,
		SessionState:  banger.SessionState{Status: banger.StatusStarting},
		Backend:       "ssh",
		AttachBackend: "shim",
		AttachMode:    "pipe",
		Attachable:    true,
		Reattachable:  true,
	}
	if r.TTY {
		x.AttachMode = "tty"
	}
	if x.Name == "" {
		x.Name = records.DefaultName(r.Launch, id)
	}
	return x
}

// setGuestDir records where a session lies in its guest, which only that can say.
func setGuestDir(x *banger.Session, dir string) {
	x.GuestStateDir = dir
	x.StdoutLogPath, x.StderrLogPath = path.Join(dir, sessiondir.StdoutName), path.Join(dir, sessiondir.StderrName)
	if x.TTY {
		x.StderrLogPath = ""
	}
}
