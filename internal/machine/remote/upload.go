package remote

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"banger"
	"banger/internal/guestconfig"
	"banger/internal/sshhost"
)

// uploadTimeout bounds an upload: ten megabytes at 128 kbit/s.
const uploadTimeout = 15 * time.Minute

// upload brings a version to the first folder that takes it, and returns that
// folder.
func upload(ctx context.Context, client *ssh.Client, v version, dirs []string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, uploadTimeout)
	defer cancel()
	var errs error
	for _, dir := range dirs {
		err := uploadTo(ctx, client, v, dir)
		if err == nil {
			return dir, nil
		}
		errs = errors.Join(errs, fmt.Errorf("in %s: %w", dir, err))
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
	}
	return "", banger.Errorf(banger.CodeUnavailable, "cannot upload the agent: %w", errs).
		WithHint("free some space there; the agent needs 20 MB")
}

// uploadTo uploads a version into a folder of its own beside its place, from where it
// puts itself there.
func uploadTo(ctx context.Context, client *ssh.Client, v version, dir string) error {
	temp := path.Join(dir, guestconfig.UploadPrefix+rand.Text())
	err := bySFTP(ctx, client, temp, v)
	if err != nil {
		if catErr := byCat(ctx, client, temp, v); catErr != nil {
			err = errors.Join(err, catErr)
		} else {
			err = nil
		}
	}
	if err == nil {
		err = putInPlace(ctx, client, temp, path.Join(dir, v.name), v)
	}
	if err != nil {
		_, _ = run(ctx, client, "rm -rf "+quote(temp), nil) // else a later install does it
	}
	return err
}

// putInPlace has an uploaded agent check itself and its shim, and take its place.
func putInPlace(ctx context.Context, client *ssh.Client, temp, place string, v version) error {
	out, err := run(ctx, client, quote(path.Join(temp, guestconfig.AgentName))+" install --uploaded "+quote(temp)+" --place "+quote(place)+
		" --agent-sha256 "+v.agentSum+" --shim-sha256 "+v.shimSum, nil)
	return failure(err, out)
}

// bySFTP uploads by the host's SFTP server, if it has one.
func bySFTP(ctx context.Context, client *ssh.Client, dir string, v version) error {
	stop := context.AfterFunc(ctx, func() { client.Close() })
	defer stop()
	server, err := openSFTP(ctx, client)
	if err != nil {
		return fmt.Errorf("cannot use SFTP: %w", err)
	}
	defer server.Close()
	if err := server.Mkdir(dir); err != nil {
		return fmt.Errorf("cannot create folder by SFTP: %w", err)
	}
	for name, file := range v.files() {
		if err := putFile(server, file, path.Join(dir, name)); err != nil {
			return fmt.Errorf("cannot upload %s by SFTP: %w", name, err)
		}
	}
	return nil
}

// openSFTP opens the SFTP subsystem; closing the client ends it.
func openSFTP(ctx context.Context, client *ssh.Client) (*sftp.Client, error) {
	session, err := sshhost.NewSession(ctx, client)
	if err != nil {
		return nil, err
	}
	in, err1 := session.StdinPipe()
	out, err2 := session.StdoutPipe()
	if err := errors.Join(err1, err2, session.RequestSubsystem("sftp")); err != nil {
		session.Close()
		return nil, err
	}
	server, err := sftp.NewClientPipe(out, in, sftp.UseConcurrentWrites(true))
	if err != nil {
		session.Close()
	}
	return server, err
}

func putFile(server *sftp.Client, file, to string) error {
	from, err := os.Open(file)
	if err != nil {
		return err
	}
	defer from.Close()
	f, err := server.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	if err == nil {
		err = f.Chmod(0o700)
	}
	return errors.Join(err, f.Close())
}

// byCat uploads through commands: every host has them.
func byCat(ctx context.Context, client *ssh.Client, dir string, v version) error {
	// A part of it may have come by SFTP.
	if out, err := run(ctx, client, "mkdir -p "+quote(dir), nil); err != nil {
		return fmt.Errorf("cannot create folder: %w", failure(err, out))
	}
	for name, file := range v.files() {
		to := quote(path.Join(dir, name))
		from, err := os.Open(file)
		if err != nil {
			return err
		}
		out, err := run(ctx, client, "cat > "+to, from)
		from.Close()
		if err == nil {
			out, err = run(ctx, client, "chmod 700 "+to, nil)
		}
		if err != nil {
			return fmt.Errorf("cannot upload %s: %w", name, failure(err, out))
		}
	}
	return nil
}

// files are a version's files by their names on the host.
func (v version) files() map[string]string {
	return map[string]string{guestconfig.AgentName: v.Agent, guestconfig.ShimName: v.Shim}
}
