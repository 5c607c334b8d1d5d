package hosttest

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"
)

// NewForExample is New for an example, which has no test to fail and to be cleaned up by:
// closeHost ends the host, and what would fail a test is a panic.
func NewForExample(bin Binaries) (h *Host, closeHost func()) {
	e := &example{}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	return New(e, bin), e.cleanUp
}

// example is the testing.TB of an example, as far as this package needs one.
type example struct {
	testing.TB // nil: a method that is not below is not there
	ctx        context.Context
	cancel     context.CancelFunc
	cleanups   []func()
}

func (e *example) Helper()                           {}
func (e *example) Context() context.Context          { return e.ctx }
func (e *example) Output() io.Writer                 { return io.Discard }
func (e *example) Logf(string, ...any)               {}
func (e *example) Error(args ...any)                 { panic(fmt.Sprint(args...)) }
func (e *example) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (e *example) Fatal(args ...any)                 { panic(fmt.Sprint(args...)) }
func (e *example) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (e *example) Cleanup(f func())                  { e.cleanups = append(e.cleanups, f) }

func (e *example) TempDir() string {
	dir, err := os.MkdirTemp("", "banger-example-")
	if err != nil {
		e.Fatal(err)
	}
	e.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			e.Error(err)
		}
	})
	return dir
}

// cleanUp does what the end of a test does.
func (e *example) cleanUp() {
	e.cancel()
	for _, f := range slices.Backward(e.cleanups) {
		f()
	}
}
