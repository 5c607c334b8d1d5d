package shim

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"banger"
	"banger/internal/records"
	"banger/internal/sessiondir"
)

// syncEvery bounds what a crash of the guest can take from the logs.
const syncEvery = time.Second

// logs writes to the session's logs and journal. What cannot be written is
// counted and declared: a full disk must neither stop nor end the command. It
// is synced within syncEvery of the first write after the last sync, or with each
// write; nothing runs while nothing is written. Safe for concurrent use.
type logs struct {
	w *sessiondir.Writer
	// each has every piece of output synced before the next.
	each bool
	// onFailure is called, without a lock held, at the first failure.
	onFailure func()

	mu      sync.Mutex // guards everything below
	timer   *time.Timer
	dirty   bool // the timer runs
	stopped bool
	failure error // the first
	lost    int64 // bytes of output

	syncing sync.Mutex // held while a sync runs
}

func openLogs(dir string, l Launch, onFailure func()) (*logs, error) {
	w, err := sessiondir.OpenWriter(dir, l.TTY, l.LogLimit)
	if err != nil {
		return nil, err
	}
	return &logs{w: w, each: l.SyncWrites, onFailure: onFailure}, nil
}

// output keeps bytes of an output stream.
func (l *logs) output(stream banger.Stream, p []byte) {
	n, err := l.w.Append(stream, p, time.Now())
	l.written(err, int64(len(p)-n))
	if l.each {
		l.sync()
	}
}

// stdout returns what is kept of a terminal's output between two positions, the latter of
// which is no more than there is.
func (l *logs) stdout(from, to int64) ([]byte, error) {
	f, err := l.w.Follow(banger.LogCursor{Stdout: from})
	if err != nil {
		return nil, err
	}
	var output []byte
	for at := f.At().Stdout; at < to; at = f.At().Stdout {
		if _, ok := f.Gap(); ok {
			output = nil
			continue
		}
		_, n := f.Run()
		if n = int(min(int64(n), to-at)); n == 0 {
			return nil, io.ErrUnexpectedEOF
		}
		p := make([]byte, n)
		if err := f.Read(p); errors.Is(err, sessiondir.ErrGap) {
			output = nil
			continue
		} else if err != nil {
			return nil, err
		}
		output = append(output, p...)
	}
	return output, nil
}

// acceptStdin notes that the command's stdin has n bytes more.
func (l *logs) acceptStdin(n int) { l.written(l.w.AcceptStdin(int64(n), time.Now()), 0) }

// closeStdin notes that the command's stdin was closed.
func (l *logs) closeStdin() { l.written(l.w.CloseStdin(time.Now()), 0) }

// written follows every write: it sees to the sync and to the failure.
func (l *logs) written(err error, lost int64) {
	l.mu.Lock()
	if !l.dirty && !l.stopped {
		l.dirty = true
		if l.timer == nil {
			l.timer = time.AfterFunc(syncEvery, l.timedSync)
		} else {
			l.timer.Reset(syncEvery)
		}
	}
	l.lost += lost
	l.mu.Unlock()
	l.failed(err)
}

func (l *logs) timedSync() {
	l.mu.Lock()
	l.dirty = false
	l.mu.Unlock()
	l.sync()
}

// finish makes everything durable. It is called after the last write.
func (l *logs) finish() {
	l.mu.Lock()
	l.stopped = true
	if l.timer != nil {
		l.timer.Stop()
	}
	l.mu.Unlock()
	l.sync()
}

func (l *logs) sync() {
	l.syncing.Lock()
	err := l.w.Sync(time.Now())
	l.syncing.Unlock()
	l.failed(err)
}

func (l *logs) failed(err error) {
	if err == nil {
		return
	}
	l.mu.Lock()
	first := l.failure == nil
	if first {
		l.failure = err
	}
	l.mu.Unlock()
	if first {
		l.onFailure()
	}
}

// count fills in what the logs know of the state.
func (l *logs) count(s *banger.SessionState) {
	s.StdoutBytes = l.w.Size(banger.StreamStdout)
	s.StderrBytes = l.w.Size(banger.StreamStderr)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failure != nil {
		text := l.failure.Error()
		if l.lost > 0 {
			text = fmt.Sprintf("%s; %d bytes of output are lost", text, l.lost)
		}
		records.NoteError(s, text)
	}
}
