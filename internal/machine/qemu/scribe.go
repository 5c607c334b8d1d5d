package qemu

import (
	"errors"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"banger/internal/process"
)

// scribe writes down what a machine says, in a process that lives as long as the machine,
// whether a daemon lives or not. Its files are bounded by the kernel (RLIMIT_FSIZE): one
// that is full becomes the old one, and the next is begun, which takes no room that the
// disk may not have. Of what it has in hand at that moment, at most a pipe is lost. It
// ends when QEMU does; one that is killed takes the machine's words with it, and nothing
// else: QEMU drops what it cannot write.
//
// The ready port is different. A guest writes a line there each time that it boots, so one
// that fills the file is broken or hostile: it is not listened to any more.
//
// Like the gate it begins when it is told to, so that it can be moved where QEMU is.
//
// Its arguments are triples: descriptor, file, and the limit in blocks of 512 bytes; a
// file for which nothing old is kept has a limit with a minus.
const scribe = `
read -r go || exit
exec </dev/null
trap '' XFSZ HUP INT TERM QUIT
write() (
	limit=${3#-}
	while :; do
		(ulimit -f "$limit"; exec cat >"$2") <&"$1" && exit
		[ "$limit" = "$3" ] || exit
		mv -f "$2" "$2.1" || exec cat >/dev/null <&"$1"
	done
)
while [ $# -gt 0 ]; do
	write "$1" "$2" "$3" 2>/dev/null &
	shift 3
done
exec 3<&- 4<&- 5<&-
wait
`

// The limits of the files, each of which has an old one of the same size beside it but
// the ready file.
const (
	maxConsoleBytes = 4 << 20
	maxQEMULogBytes = 1 << 20
	maxReadyBytes   = 64 << 10
)

// outlets are the ends of the pipes on which a machine speaks, and of the one whose first
// line lets the scribe begin.
type outlets struct{ console, ready, messages, begin *os.File }

func (o outlets) close() {
	for _, f := range []*os.File{o.console, o.ready, o.messages, o.begin} {
		if f != nil {
			f.Close()
		}
	}
}

// startScribe starts the scribe of a machine whose files are there; it waits. It is a child of ours
// until this process ends.
func (l *launch) startScribe() (_ *heldProcess, _ outlets, err error) {
	var in, out outlets
	defer func() {
		in.close()
		if err != nil {
			out.close()
		}
	}()
	for _, pipe := range []struct{ r, w **os.File }{
		{&in.console, &out.console}, {&in.ready, &out.ready}, {&in.messages, &out.messages}, {&in.begin, &out.begin},
	} {
		if *pipe.r, *pipe.w, err = os.Pipe(); err != nil {
			return nil, out, err
		}
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, out, err
	}
	defer null.Close()
	const block = 512
	argv := []string{
		"sh", "-c", scribe, "banger-scribe",
		"3", l.statePath(consoleName), strconv.Itoa(maxConsoleBytes / block),
		"4", l.statePath(readyName), strconv.Itoa(-maxReadyBytes / block),
		"5", l.statePath(qemuLogName), strconv.Itoa(maxQEMULogBytes / block),
	}
	child, err := os.StartProcess("/bin/sh", argv, &os.ProcAttr{
		Dir:   "/",
		Env:   []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"},
		Files: []*os.File{in.begin, null, null, in.console, in.ready, in.messages},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return nil, out, err
	}
	id, err := process.Identify(child.Pid)
	if err == nil {
		var s *heldProcess
		if s, err = holdProcess(id); err == nil {
			return s, out, child.Release()
		}
	}
	_, waitErr := child.Wait() // it ends, since nobody has the other ends of its pipes
	return nil, out, errors.Join(err, waitErr)
}

// openScribe takes hold of the scribe of a machine, nil if that has none any more.
func openScribe(id process.Identity) *heldProcess {
	if id.PID == 0 {
		return nil
	}
	s, err := holdProcess(id)
	if err != nil {
		return nil
	}
	return s
}

// finish waits until the scribe has written everything down: its machine has ended.
func (p *heldProcess) finish() {
	if p == nil {
		return
	}
	late := time.AfterFunc(endGrace, func() { _ = p.signal(unix.SIGKILL) })
	defer late.Stop()
	_ = p.wait() // or it is closed
}

// release gives up the handle.
func (p *heldProcess) release() {
	if p != nil {
		_ = p.close()
	}
}
