// Command demoregistry serves an image to banger's demonstration as a registry does: one of
// two layers, of which the lower one is an archive with Debian's busybox-static. It listens on
// a free port of the loopback, prints the image's reference, and runs until its standard input
// ends.
package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: demoregistry ARCHIVE")
		os.Exit(2)
	}
	if err := serve(os.Args[1], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "demoregistry:", err)
		os.Exit(1)
	}
}

// serve serves the image over an archive until in ends; its reference goes to out.
func serve(archive string, in io.Reader, out io.Writer) error {
	image, err := demoImage(archive)
	if err != nil {
		return fmt.Errorf("cannot make the image: %w", err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: registry.New(registry.Logger(log.New(io.Discard, "", 0)))}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	ref, err := name.NewTag(listener.Addr().String() + "/demo:1")
	if err == nil {
		err = remote.Write(ref, image)
	}
	if err == nil {
		_, err = fmt.Fprintln(out, ref)
	}
	if err == nil {
		_, err = io.Copy(io.Discard, in)
	}
	err = errors.Join(err, server.Close())
	if e := <-ended; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}

// demoImage is a system with busybox, and over it a layer that has a web page, names for
// some of busybox's programs, and removes the documentation.
func demoImage(archive string) (v1.Image, error) {
	system, err := os.ReadFile(archive)
	if err != nil {
		return nil, err
	}
	site := []file{
		{name: "srv", mode: fs.ModeDir | 0o755},
		{name: "srv/index.html", mode: 0o644, data: []byte("hello from an image\n")},
		{name: "etc/passwd", mode: 0o644, data: []byte("root:x:0:0:root:/root:/bin/sh\n")},
		{name: "usr/share/.wh.doc", mode: 0o644},
	}
	for _, program := range []string{"sh", "cat", "echo", "env", "head", "httpd", "ls", "ps", "sleep", "sort", "stty", "wget"} {
		site = append(site, file{name: "bin/" + program, leads: "busybox", mode: fs.ModeSymlink | 0o777})
	}
	image, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1),
		static.NewLayer(system, types.OCIUncompressedLayer), layerOf(site))
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Config = v1.Config{
		Env:        []string{"PATH=/bin", "GREETING=hello"},
		Cmd:        []string{"httpd", "-f", "-p", "127.0.0.1:8080"},
		WorkingDir: "/srv",
	}
	return mutate.ConfigFile(image, config)
}

// file is one of a layer; a symbolic link if it leads somewhere.
type file struct {
	name, leads string
	mode        fs.FileMode
	data        []byte
}

// layerOf packs files.
func layerOf(files []file) v1.Layer {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files { // a bytes.Buffer takes everything
		h := &tar.Header{Name: f.name, Linkname: f.leads, Mode: int64(f.mode.Perm()), Size: int64(len(f.data)), Typeflag: tar.TypeReg}
		switch {
		case f.mode.IsDir():
			h.Typeflag = tar.TypeDir
		case f.leads != "":
			h.Typeflag = tar.TypeSymlink
		}
		_ = w.WriteHeader(h)
		_, _ = w.Write(f.data)
	}
	_ = w.Close()
	return static.NewLayer(b.Bytes(), types.OCIUncompressedLayer)
}
