package qemu

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"
)

// The control sockets in record.RuntimeDir: see qmpFD.
const (
	qmpName    = "qmp.sock"
	eventsName = "events.sock"
)

// maxQMPLine bounds one message of QEMU.
const maxQMPLine = 1 << 20

// qmp is a connection to QEMU's control socket: qemu-qmp-ref(7). QEMU serves
// one at a time and lets the next wait, so a connection is opened for a purpose
// and closed after it; several handles and processes then get their turn. For
// one goroutine.
type qmp struct {
	conn   net.Conn
	lines  *bufio.Reader
	nextID int
	hear   func(qmpMessage) // called with each event; nil if nobody wants them
}

// qmpError is QEMU's refusal of a command.
type qmpError struct {
	Class string `json:"class"`
	Desc  string `json:"desc"`
}

func (e *qmpError) Error() string { return e.Desc }

// qmpMessage is anything that QEMU sends: greeting, answer or event.
type qmpMessage struct {
	QMP    json.RawMessage `json:"QMP"`
	ID     *int            `json:"id"`
	Return json.RawMessage `json:"return"`
	Error  *qmpError       `json:"error"`
	Event  string          `json:"event"`
	Data   json.RawMessage `json:"data"` // of an event
}

// withQMP connects to the machine's control socket for commands, makes sure that it is
// this machine's, and calls fn. It ends with ctx, whatever QEMU does or does not do;
// the error then is of no use.
func (r record) withQMP(ctx context.Context, fn func(*qmp) error) error {
	return r.withSocket(ctx, qmpName, fn)
}

// withSocket is withQMP with one of the sockets.
func (r record) withSocket(ctx context.Context, name string, fn func(*qmp) error) error {
	conn, err := dialUnix(ctx, r.RuntimeDir, name)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	q := newQMP(conn)
	err = q.handshake(r.Name)
	if err == nil {
		err = fn(q)
	}
	return err
}

// maxFirstID leaves no number twice to clients that follow each other, in practice.
const maxFirstID = 1 << 50

func newQMP(conn net.Conn) *qmp {
	return &qmp{conn: conn, lines: bufio.NewReader(conn), nextID: rand.IntN(maxFirstID)}
}

// handshake leaves the negotiation mode and checks the machine's name.
func (q *qmp) handshake(name string) error {
	greeting, err := q.read()
	if err != nil {
		return err
	}
	if greeting.QMP == nil {
		return errors.New("the control socket does not speak QMP")
	}
	// It is refused where the command of a client that has died meanwhile was
	// carried out for us; the next command tells.
	err = q.execute("qmp_capabilities", nil, nil)
	if _, refused := errors.AsType[*qmpError](err); err != nil && !refused {
		return err
	}
	var who struct {
		Name string `json:"name"`
	}
	if err := q.execute("query-name", nil, &who); err != nil {
		return err
	}
	if who.Name != name {
		return fmt.Errorf("the control socket belongs to machine %q", who.Name)
	}
	return nil
}

// execute sends a command and decodes its answer into result, if that is not nil.
// Answers to a client that died before it got them are dropped: QEMU gives them to the
// next.
func (q *qmp) execute(command string, arguments, result any) error {
	q.nextID++
	request, err := json.Marshal(struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
		ID        int    `json:"id"`
	}{command, arguments, q.nextID})
	if err != nil {
		return fmt.Errorf("cannot encode QMP command %s: %w", command, err)
	}
	if _, err := q.conn.Write(append(request, '\n')); err != nil {
		return fmt.Errorf("cannot send QMP command %s: %w", command, err)
	}
	for {
		m, err := q.read()
		switch {
		case err != nil:
			return fmt.Errorf("cannot get answer to QMP command %s: %w", command, err)
		case m.Event != "":
			q.heard(m)
			continue
		case m.ID != nil && *m.ID != q.nextID:
			continue
		case m.Error != nil:
			return fmt.Errorf("cannot run QMP command %s: %w", command, m.Error)
		case m.ID == nil:
			return fmt.Errorf("cannot get answer to QMP command %s: one to nothing came", command)
		case result == nil:
			return nil
		}
		if err := json.Unmarshal(m.Return, result); err != nil {
			return fmt.Errorf("cannot decode answer to QMP command %s: %w", command, err)
		}
		return nil
	}
}

// listen returns after the next event.
func (q *qmp) listen() error {
	for {
		m, err := q.read()
		if err != nil {
			return err
		}
		if m.Event != "" {
			q.heard(m)
			return nil
		}
	}
}

func (q *qmp) heard(event qmpMessage) {
	if q.hear != nil {
		q.hear(event)
	}
}

// read returns the next message, one a line.
func (q *qmp) read() (qmpMessage, error) {
	var m qmpMessage
	line, err := readLine(q.lines, maxQMPLine)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(line, &m); err != nil {
		return m, fmt.Errorf("cannot decode QMP message: %w", err)
	}
	return m, nil
}

// readLine returns a line of at most limit bytes, with its end.
func readLine(r *bufio.Reader, limit int) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line)+len(part) > limit {
			return nil, fmt.Errorf("a line has more than %d bytes", limit)
		}
		line = append(line, part...)
		switch {
		case err == nil:
			return line, nil
		case errors.Is(err, io.EOF) && len(line) > 0:
			return nil, io.ErrUnexpectedEOF
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, err
		}
	}
}
