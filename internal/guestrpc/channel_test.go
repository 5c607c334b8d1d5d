package guestrpc_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"banger/internal/guestrpc"
)

type buffer struct{ bytes.Buffer }

func (*buffer) Close() error { return nil }

func TestChannel_MessagesArriveWhole(t *testing.T) {
	var wire buffer
	messages := []string{"{}", "", strings.Repeat("x", 100_000), "end"}
	out := guestrpc.NewChannel(nil, &wire)
	for _, m := range messages {
		if err := out.Send([]byte(m)); err != nil {
			t.Fatal(err)
		}
	}
	in := guestrpc.NewChannel(iotest.HalfReader(&wire), nil)
	for _, want := range messages {
		if got, err := in.Recv(); err != nil || string(got) != want {
			t.Errorf("got %.40q, %v", got, err)
		}
	}
	if _, err := in.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last one: %v", err)
	}
	if err := out.Send([]byte("a\nb")); err == nil {
		t.Error("a newline was sent")
	}
}

// endless is a line that never ends.
type endless struct{ read int }

func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	return copy(p, bytes.Repeat([]byte("x"), len(p))), nil
}

func TestChannel_MessageWithoutAnEndIsRefused(t *testing.T) {
	var line endless
	if _, err := guestrpc.NewChannel(&line, nil).Recv(); err == nil {
		t.Error("it was taken")
	}
	if line.read > guestrpc.MaxMessageBytes+100_000 {
		t.Errorf("%d bytes were read", line.read)
	}
}

func TestChannel_HalfAMessageIsNone(t *testing.T) {
	if got, err := guestrpc.NewChannel(strings.NewReader("half"), nil).Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("got %q, %v", got, err)
	}
}
