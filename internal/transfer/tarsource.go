package transfer

import (
	"archive/tar"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// tarSender sends what is in a tar archive, as what is in a directory.
type tarSender struct {
	*sender
	in    *tar.Reader
	path  []string // of the directory that it is in
	names map[string]uint64
}

// sendTar sends an archive, and the end.
func sendTar(ctx context.Context, out *frames, in io.Reader, progress *Progress) error {
	s := &tarSender{sender: newSender(ctx, out, progress), in: tar.NewReader(in), names: map[string]uint64{}}
	err := s.all()
	if fatal, ok := errors.AsType[fatalError](err); ok {
		return fatal.error
	}
	end := End{Entries: s.entries}
	if err != nil {
		end.Error = err.Error()
	}
	return s.out.say(frameEnd, end)
}

func (s *tarSender) all() error {
	if err := s.put(frameDir, &Entry{Implied: true}); err != nil {
		return err
	}
	for {
		h, err := s.in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("the archive cannot be read: %w", err)
		}
		if err := s.header(h); err != nil {
			return err
		}
	}
	if err := s.enter(nil); err != nil {
		return err
	}
	return s.write(frameUp)
}

// enter goes to a directory of the archive.
func (s *tarSender) enter(dir []string) error {
	common := 0
	for common < min(len(dir), len(s.path)) && dir[common] == s.path[common] {
		common++
	}
	for len(s.path) > common {
		s.path = s.path[:len(s.path)-1]
		if err := s.write(frameUp); err != nil {
			return err
		}
	}
	for _, name := range dir[common:] {
		if err := s.put(frameDir, &Entry{Name: name, Implied: true, Mode: 0o755}); err != nil {
			return err
		}
		s.path = append(s.path, name)
	}
	return nil
}

// header sends an entry of the archive.
func (s *tarSender) header(h *tar.Header) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	names, err := components(h.Name)
	if err == nil && len(names) > maxDepth {
		err = fmt.Errorf("it is more than %d directories deep", maxDepth)
	}
	if err != nil {
		return fmt.Errorf("%.300q in the archive: %w", h.Name, err)
	}
	if len(names) == 0 {
		return nil // the directory itself, which is there
	}
	dir, name := names[:len(names)-1], names[len(names)-1]
	if err := s.enter(dir); err != nil {
		return err
	}
	e := Entry{Name: name, Mode: uint32(h.Mode & 0o7777), UID: uint32(h.Uid), GID: uint32(h.Gid), ModTime: h.ModTime, Size: h.Size, Data: h.Size, Xattrs: tarXattrs(h)}
	switch h.Typeflag {
	case tar.TypeDir:
		if err := s.put(frameDir, &e); err != nil {
			return err
		}
		s.path = append(slices.Clone(dir), name)
		return nil
	case tar.TypeReg, tar.TypeGNUSparse, tar.TypeCont:
		return s.regular(&e)
	case tar.TypeSymlink:
		if len(h.Linkname) > maxTargetBytes {
			return s.problem(name, errors.New("its target is too long"))
		}
		e.Size, e.Data, e.Target = 0, 0, h.Linkname
		return s.put(frameSymlink, &e)
	case tar.TypeLink:
		to, err := components(h.Linkname)
		if e.Link = s.names[path.Join(to...)]; err != nil || e.Link == 0 {
			return s.problem(name, errors.New("the file of which it is another name is not before it in the archive"))
		}
		e.Size, e.Data = 0, 0
		return s.put(frameHardlink, &e)
	}
	return s.problem(name, errNotCopied)
}

func tarXattrs(h *tar.Header) (list []Xattr) {
	for name, value := range h.PAXRecords {
		if name, ok := strings.CutPrefix(name, paxXattr); ok && carried(name) && len(list) < maxXattrs && len(name) <= maxXattrName && len(value) <= 64<<10 {
			list = append(list, Xattr{name, []byte(value)})
		}
	}
	return list
}

// regular sends a file with its bytes.
func (s *tarSender) regular(e *Entry) error {
	if len(s.names) < maxLinked {
		s.lastLink++
		e.Link = s.lastLink
		s.names[path.Join(path.Join(s.path...), e.Name)] = e.Link
	}
	if err := s.put(frameFile, e); err != nil {
		return err
	}
	if s.progress != nil {
		s.progress.Files.Add(1)
	}
	sum := newDigest()
	for at := int64(0); at < e.Size; {
		if err := context.Cause(s.ctx); err != nil {
			return fatalError{err}
		}
		n, err := io.ReadFull(s.in, s.buffer[:min(int64(len(s.buffer)), e.Size-at)])
		if err != nil {
			return s.cut(err)
		}
		sum.write(at, s.buffer[:n])
		if err := s.write(frameBytes, s.buffer[:n]); err != nil {
			return err
		}
		at += int64(n)
		s.count(int64(n))
	}
	return s.write(frameCheck, binary.BigEndian.AppendUint64(nil, sum.total()))
}

// cut ends a file in the middle of which the archive ends, and the copy.
func (s *tarSender) cut(cause error) error {
	err := fmt.Errorf("the archive cannot be read: %w", cause)
	if err := s.write(frameCheck, make([]byte, 8), []byte(err.Error())); err != nil {
		return err
	}
	return err
}

// interruptible returns a reader of what in has that ends with ctx. A read of in that is under
// way then stays until in ends, as that of a terminal does with the process.
func interruptible(ctx context.Context, in io.Reader) (r io.Reader, stop func()) {
	out, pipe := io.Pipe()
	go func() {
		_, err := io.CopyBuffer(struct{ io.Writer }{pipe}, struct{ io.Reader }{in}, make([]byte, chunkBytes))
		pipe.CloseWithError(err)
	}()
	undo := context.AfterFunc(ctx, func() { out.CloseWithError(context.Cause(ctx)) })
	return out, func() { undo(); out.Close() }
}

// FetchTar writes what r.Path means at a server to w, as a tar archive.
func (r *Remote) FetchTar(ctx context.Context, q Request, w io.Writer, progress *Progress, note func(string)) (Result, error) {
	a, err := r.readable(ctx, q, "", note)
	if err != nil {
		return Result{}, err
	}
	if err := r.frames.say(frameGo, Have{}); err != nil {
		return Result{}, broken(ctx, lostError{err})
	}
	progress.Total.Store(a.Source.Size)
	var result Result
	name := string(a.Source.Name)
	if a.Source.Contents {
		name = ""
	}
	sink := newTarSink(w, name)
	receiver := &receiver{ctx: ctx, in: r.frames, sink: sink, form: a.Source.Form, progress: progress, result: &result}
	err = receiver.receive()
	if err == nil {
		err = sink.close()
	}
	if err != nil {
		return result, broken(ctx, err)
	}
	return result, nil
}

// StoreTar copies what is in a tar archive into the directory q.Path at a server.
func (r *Remote) StoreTar(ctx context.Context, in io.Reader, q Request, progress *Progress) (Result, error) {
	return r.store(ctx, Source{Form: FormDir, Contents: true}, q, func(ctx context.Context, _ Have) error {
		archive, stop := interruptible(ctx, in)
		defer stop()
		return sendTar(ctx, r.frames, archive, progress)
	})
}
