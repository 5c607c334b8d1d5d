package remote

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"banger"
	"banger/internal/guestconfig"
)

// uploadTimeout bounds an upload: ten megabytes at 128 kbit/s.
const uploadTimeout = 15 * time.Minute

// upload brings a version to the first directory that takes it, and returns that
// directory.
func upload(ctx context.Context, client *ssh.Client, v version, dirs []string) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, uploadTimeout, fmt.Errorf("it has not ended within %s", uploadTimeout))
	defer cancel()
	var errs []string
	for _, dir := range dirs {
		err := uploadTo(ctx, client, v, dir)
		if err == nil {
			return dir, nil
		}
		errs = append(errs, fmt.Sprintf("in %s: %v", dir, err))
		if ctx.Err() != nil {
			break
		}
	}
	why := strings.Join(errs, "; ")
	return "", banger.Errorf(banger.CodeUnavailable, "cannot upload the agent: %s", why).WithHint("%s", uploadHint(why))
}

// uploadHint is the next step after what hosts say of a failure.
func uploadHint(why string) string {
	for _, full := range []string{"No space left", "no space left", "Disk quota", "disk quota"} {
		if strings.Contains(why, full) {
			return "free some space there; the agent needs 20 MB"
		}
	}
	for _, limit := range []string{"failed to reserve", "cannot allocate memory", "out of memory", "Resource temporarily unavailable", "failed to create new OS thread"} {
		if strings.Contains(why, limit) {
			return "a program cannot start there: see whether a limit of the login's memory or processes is too low for it: ssh HOST 'ulimit -a'"
		}
	}
	return "see whether your ssh can write a file there: ssh HOST 'cat > FILE' < FILE"
}

// uploadTo uploads a version into a directory of its own beside its place, from where it
// puts itself there.
func uploadTo(ctx context.Context, client *ssh.Client, v version, dir string) error {
	temp := path.Join(dir, guestconfig.UploadPrefix+rand.Text())
	err := runSoon(ctx, client, "umask 077; mkdir "+quote(temp))
	for name, file := range v.files() {
		if err == nil {
			err = putFile(ctx, client, file, path.Join(temp, name))
		}
	}
	if err == nil {
		err = putInPlace(ctx, client, temp, path.Join(dir, v.name), v)
	}
	if err != nil && ctx.Err() == nil {
		_ = runSoon(ctx, client, "rm -rf "+quote(temp)) // else a later install does it
	}
	return err
}

// runSoon runs what does not take long by itself.
func runSoon(ctx context.Context, client *ssh.Client, script string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, commandTimeout, errNoAnswer)
	defer cancel()
	_, err := run(ctx, client, script, nil)
	return err
}

// putInPlace has an uploaded agent check itself and its shim, and take its place.
func putInPlace(ctx context.Context, client *ssh.Client, temp, place string, v version) error {
	return runSoon(ctx, client, quote(path.Join(temp, guestconfig.AgentName))+" install --uploaded "+quote(temp)+" --place "+quote(place)+
		" --agent-sha256 "+v.agentSum+" --shim-sha256 "+v.shimSum)
}

// putFile uploads a program through cat, which every host has; not by SFTP, which reports an
// error at its end only when nobody else holds its streams, and which some hosts lack.
func putFile(ctx context.Context, client *ssh.Client, file, to string) error {
	from, err := os.Open(file)
	if err != nil {
		return err
	}
	defer from.Close()
	_, err = run(ctx, client, "umask 077; cat > "+quote(to)+" && chmod 700 "+quote(to), from)
	return err
}

// files are a version's files by their names on the host.
func (v version) files() map[string]string {
	return map[string]string{guestconfig.AgentName: v.Agent, guestconfig.ShimName: v.Shim}
}
