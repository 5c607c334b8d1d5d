package guestrpc_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"banger"
	"banger/internal/guestapi"
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

func TestChannel_BlobIsThereWhenItsAnswerIs(t *testing.T) {
	var wire buffer
	out, in := guestrpc.NewChannel(nil, &wire), guestrpc.NewChannel(iotest.HalfReader(&wire), nil)
	first, second, none := in.ExpectBlob(), in.ExpectBlob(), in.ExpectBlob()
	text := []byte("not {} a message\n#1 2\n")
	long := bytes.Repeat([]byte{0, '\n'}, 100_000)
	err := errors.Join(
		out.SendBlob(second, text), out.Send([]byte(`{"second":2}`)),
		out.SendBlob(99, long), out.SendBlob(first, long), out.SendBlob(first, text), out.Send([]byte(`{"first":1}`)))
	if err != nil {
		t.Fatal(err)
	}
	if msg, err := in.Recv(); err != nil || string(msg) != `{"second":2}` || !bytes.Equal(in.TakeBlob(second), text) {
		t.Errorf("%q, %v", msg, err)
	}
	if msg, err := in.Recv(); err != nil || string(msg) != `{"first":1}` || !bytes.Equal(in.TakeBlob(first), long) {
		t.Errorf("%q, %v", msg, err)
	}
	if in.TakeBlob(none) != nil || in.TakeBlob(99) != nil || in.TakeBlob(first) != nil {
		t.Error("there is a blob that never came, that nobody expects, or that was taken")
	}
	if out.SendBlob(1, make([]byte, guestapi.MaxLogPageBytes+1)) == nil {
		t.Error("a blob that is too long was sent")
	}
}

func TestChannel_BlobThatIsNoneIsRefused(t *testing.T) {
	for _, bytes := range []string{"#\n", "#1\n", "#1 -1\n", "#1 999999999\n", "#x 1\n", "# 1 1\n", "#1 5\nabc", "#" + strings.Repeat("1", 1000) + "\n"} {
		in := guestrpc.NewChannel(strings.NewReader(bytes), nil)
		in.ExpectBlob()
		if got, err := in.Recv(); err == nil {
			t.Errorf("%.20q is taken for %q", bytes, got)
		}
	}
}

func TestLogPage_TakesNoMoreFromABlobThanThereIs(t *testing.T) {
	page := guestapi.GuestLogPage{Chunks: []banger.LogChunk{
		{Stream: banger.StreamStdout, Offset: 7, Time: time.Unix(1, 0), Data: []byte("one")},
		{Stream: banger.StreamStderr, Offset: 9, Data: []byte("three")},
	}, AtEnd: true}
	split, blob := guestrpc.SplitPage(page)
	if joined, err := split.Join(blob); err != nil || !reflect.DeepEqual(joined, page) {
		t.Errorf("%+v has become %+v, %v", page, joined, err)
	}
	for _, bad := range [][]byte{nil, blob[1:], append(blob, 0)} {
		if _, err := split.Join(bad); err == nil {
			t.Errorf("a blob of %d bytes is taken", len(bad))
		}
	}
	split.Pieces[0].Size = -1
	if _, err := split.Join(blob); err == nil {
		t.Error("a piece of -1 bytes is taken")
	}
}
