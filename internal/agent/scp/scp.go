// Package scp is the far end of scp -O: the protocol of rcp, by which an OpenSSH before 9.0
// copies, and a later one on request. There is no specification; the source is scp.c of
// OpenSSH. It serves guests whose image has no scp.
package scp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxLine bounds a line of the protocol: a name, and what is said of it.
const maxLine = 8 << 10

// Commands of the protocol, each the first byte of a line, and its answers.
const (
	replyOK      = 0
	replyWarning = 1 // followed by a line; the copy continues
	replyFatal   = 2 // the same; it does not
)

// Options are the arguments with which a client starts the far end.
type Options struct {
	sink, source bool // -t, -f
	recursive    bool // -r
	preserve     bool // -p
	toDirectory  bool // -d
	Paths        []string
}

// Parse reads the arguments of scp, without its name. It reports false if they are not those of a far
// end, but of a user's own scp.
func Parse(args []string) (o Options, isFarEnd bool) {
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		flags := args[0][1:]
		args = args[1:]
		if flags == "-" {
			break
		}
		for _, flag := range flags {
			switch flag {
			case 't':
				o.sink = true
			case 'f':
				o.source = true
			case 'r':
				o.recursive = true
			case 'p':
				o.preserve = true
			case 'd':
				o.toDirectory = true
			case 'v':
			default:
				return Options{}, false
			}
		}
	}
	o.Paths = args
	return o, o.sink != o.source && len(args) > 0 && (o.source || len(args) == 1)
}

// end is one end of the protocol.
type end struct {
	Options
	in     *bufio.Reader
	out    io.Writer
	errs   io.Writer
	failed bool // something could not be copied, and the client knows
}

// errRefused is for what the client does not want, which it has said to its user.
var errRefused = errors.New("the other end has refused it")

// Serve copies as a client asks for, with the rights of this process, and returns an error if
// something could not be copied.
func Serve(o Options, in io.Reader, out, errs io.Writer) error {
	e := &end{Options: o, in: bufio.NewReaderSize(in, maxLine), out: out, errs: errs}
	var err error
	if o.sink {
		err = e.receive(o.Paths[0])
	} else {
		err = e.sendAll(o.Paths)
	}
	if err == nil && e.failed {
		err = errors.New("not everything was copied")
	}
	return err
}

func (e *end) acknowledge() error {
	_, err := e.out.Write([]byte{replyOK})
	return err
}

// warn reports what could not be copied, to the client.
func (e *end) warn(cause error) error {
	e.failed = true
	_, err := fmt.Fprintf(e.out, "%cscp: %s\n", replyWarning, strings.ReplaceAll(cause.Error(), "\n", "?"))
	return err
}

// reply reads an answer of the client: nil, errRefused, or the end of the copy.
func (e *end) reply() error {
	code, err := e.in.ReadByte()
	if err != nil {
		return err
	}
	switch code {
	case replyOK:
		return nil
	case replyWarning, replyFatal:
		text, err := e.line()
		if err != nil {
			return err
		}
		fmt.Fprintln(e.errs, text)
		if code == replyFatal {
			return errors.New("the other end has given up")
		}
		e.failed = true
		return errRefused
	}
	return fmt.Errorf("cannot copy: the other end answers %q", code)
}

// line reads the rest of a line.
func (e *end) line() (string, error) {
	line, err := e.in.ReadSlice('\n')
	if err != nil {
		return "", err
	}
	return string(line[:len(line)-1]), nil
}
