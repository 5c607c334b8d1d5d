package guest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/creachadair/jrpc2"

	"banger"
	"banger/internal/guest/guesttest"
	"banger/internal/guestapi"
	"banger/internal/guestbudget"
	"banger/internal/guestrpc"
)

// honest is a control process of an honest guest without sessions.
func honest() controlFunc { return guesttest.Answers{}.Control() }

// mortal is a control process that ends when die is called.
func mortal(answers func(die func()) guesttest.Answers) controlFunc {
	return func(stdin io.Reader, stdout, stderr io.Writer) {
		in, out := io.Pipe()
		go func() { _, _ = io.Copy(out, stdin); out.Close() }()
		answers(func() { out.Close() }).Control()(in, stdout, stderr)
	}
}

func TestLink_IsWaitedForFromTheMomentItIsOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, always(honest()))
		defer r.end()
		r.guest(t)
		r.end()
		if _, err := r.Guest(t.Context(), vm); banger.CodeOf(err) != banger.CodeState {
			t.Errorf("after its end: %v", err)
		}
	})
}

func TestLink_FrozenControlProcessIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		thaw, began := make(chan struct{}), false
		r := open(t, func() controlFunc {
			if began {
				return guesttest.Answers{guestrpc.MethodReadLog: guesttest.Always(guestapi.GuestLogPage{AtEnd: true})}.Control()
			}
			began = true
			return frozen(thaw)
		})
		defer r.end()
		defer close(thaw)
		start := time.Now()
		read := guestapi.GuestLogRead{ID: sessionID, Stream: banger.StreamBoth, MaxBytes: 1}
		if _, err := r.guest(t).ReadLog(t.Context(), read); banger.CodeOf(err) != banger.CodeUnavailable {
			t.Errorf("the frozen process answered: %v", err)
		}
		synctest.Wait() // until the link knows, too, that it is down
		if _, err := r.guest(t).ReadLog(t.Context(), read); err != nil {
			t.Errorf("the next one did not answer: %v", err)
		}
		if took := time.Since(start); took > 2*time.Minute {
			t.Errorf("that took %v", took)
		}
	})
}

// large is a request of 336 KiB.
var large = guestapi.GuestLaunch{ID: sessionID, Launch: banger.Launch{Args: []banger.ByteString{banger.ByteString(strings.Repeat("\xff", 252<<10))}}}

func TestLink_StrangerIsNotTalkedTo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := openTo(t, key(t, 9), func() controlFunc { t.Error("the stranger was asked for its sessions"); return honest() })
		defer r.end()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := r.Guest(ctx, vm)
		if banger.CodeOf(err) != banger.CodeUnavailable || !strings.Contains(err.Error(), "host key mismatch") {
			t.Errorf("got %v", err)
		}
	})
}

// An emulated guest pays for the instructions that others have for AES-GCM.
func TestLink_IsEncryptedAsItsGuestDoesFastest(t *testing.T) {
	for accel, want := range map[string]string{"tcg": "chacha20-poly1305@openssh.com", "kvm": "aes128-gcm@openssh.com", "": "aes128-gcm@openssh.com"} {
		synctest.Test(t, func(t *testing.T) {
			r := openMachine(t, &machine{key: key(t, 1), next: always(honest()), done: make(chan struct{}), accel: accel})
			r.guest(t)
			r.end()
			if !strings.Contains(r.log.String(), "cipher="+want) {
				t.Errorf("%q: it is not %s: %s", accel, want, r.log)
			}
		})
	}
}

func TestLink_ProcessThatDiesIsReplacedOnTheSameConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		died := false
		r := open(t, func() controlFunc {
			if died {
				return honest()
			}
			died = true
			return mortal(func(die func()) guesttest.Answers {
				time.AfterFunc(5*time.Second, die)
				return guesttest.Answers{}
			})
		})
		defer r.end()
		r.guest(t)
		time.Sleep(10 * time.Second)
		r.guest(t)
		if ups, _ := r.handler.seen(); ups != 2 || r.machine.dialled() != 1 {
			t.Errorf("%d times up on %d connections", ups, r.machine.dialled())
		}
	})
}

func TestLink_ChangesToldBeforeTheEndAreRecorded(t *testing.T) {
	for range 20 { // which of two things is seen first is chance
		synctest.Test(t, func(t *testing.T) {
			r := open(t, always(mortal(func(die func()) guesttest.Answers {
				return guesttest.Answers{guestrpc.MethodStop: func(ctx context.Context, _ json.RawMessage) (any, error) {
					defer die()
					for n := range int64(2) {
						if err := jrpc2.ServerFromContext(ctx).Notify(ctx, guestrpc.NotifyChanged, report(n+1)); err != nil {
							t.Error(err)
						}
						time.Sleep(time.Second) // until the first is being recorded
					}
					return nil, nil
				}}
			})))
			r.handler.mu.Lock()
			r.handler.recording = func(s guestapi.GuestSession) {
				if s.Sequence == 1 {
					time.Sleep(time.Minute)
				}
			}
			r.handler.mu.Unlock()
			_ = r.guest(t).Stop(t.Context(), sessionID, banger.StopRequest{Kill: true}) // the answer may come or not
			time.Sleep(2 * time.Minute)
			r.end()
			if got := r.handler.changed[sessionID]; got.Sequence != 2 {
				t.Errorf("the last change is missing: %+v", got)
			}
		})
	}
}

func TestLink_GuestOfAnotherProtocolIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, always(guesttest.Answers{
			guestrpc.MethodHello: guesttest.Always(guestapi.GuestHello{Protocol: guestapi.GuestProtocol + 1, BootID: guesttest.BootID}),
		}.Control()))
		defer r.end()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := r.Guest(ctx, vm); err == nil || !strings.Contains(err.Error(), "speaks protocol") {
			t.Errorf("got %v", err)
		}
	})
}

func TestLink_GuestCannotFillTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := open(t, always(func(stdin io.Reader, stdout, stderr io.Writer) {
			for n := range 10_000 {
				fmt.Fprintln(stderr, "line", n)
			}
			honest()(stdin, stdout, stderr)
		}))
		r.guest(t)
		r.end()
		if lines, bytes := strings.Count(r.log.String(), "says="), r.log.Len(); lines < 50 || bytes > guestbudget.HostLogBytes {
			t.Errorf("%d lines were logged, and %d bytes", lines, bytes)
		}
	})
}
