//go:build !unit

package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"banger/internal/hosttest"
	"banger/test/wait"
)

// tool runs a program of others to its end, with ssh's configuration where it takes options
// for ssh.
func (u *sshUser) tool(name string, args ...string) (out string) {
	u.t.Helper()
	cmd := exec.CommandContext(u.t.Context(), name, args...)
	cmd.Env = append(u.environment(), "GIT_SSH_COMMAND=ssh -o BatchMode=yes -F "+u.config,
		"GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
	said, err := cmd.CombinedOutput()
	if err != nil {
		u.t.Fatalf("%s %s: %v: %s", name, args, err, said)
	}
	return string(said)
}

// tree makes a few files, and returns how to compare another directory with them.
func tree(t *testing.T) (dir string, check func(other string)) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "tree")
	for name, data := range map[string]string{"a b": "quoted", "sub/large": strings.Repeat("\x00\xff large", 200_000), "sub/empty": ""} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o640); err != nil {
			t.Fatal(err)
		}
	}
	return dir, func(other string) {
		t.Helper()
		if out, err := exec.CommandContext(t.Context(), "diff", "-r", dir, other).CombinedOutput(); err != nil {
			t.Errorf("%s is not what was copied: %v: %s", other, err, out)
		}
	}
}

func TestSSHName_IsReachedByToolsOfOthers(t *testing.T) {
	u := newSSHUser(t, hosttest.Options{})
	u.StartVM("web")
	from, check := tree(t)
	shell := "ssh -o BatchMode=yes -F " + u.config
	for name, do := range map[string]func(t *testing.T, guest, back string){
		"scp": func(_ *testing.T, guest, back string) {
			u.tool("scp", "-F", u.config, "-rp", from, "web.banger:"+guest+"/tree")
			u.tool("scp", "-F", u.config, "-rp", "web.banger:"+guest+"/tree", back)
		},
		"scp -O": func(_ *testing.T, guest, back string) {
			u.tool("scp", "-O", "-F", u.config, "-rp", from, "web.banger:"+guest+"/tree")
			u.tool("scp", "-O", "-F", u.config, "-rp", "web.banger:"+guest+"/tree", back)
		},
		"sftp": func(t *testing.T, guest, back string) {
			batch := filepath.Join(t.TempDir(), "batch")
			commands := fmt.Sprintf("cd %s\nput -r %s\nget -r tree %s/tree\n", guest, from, back)
			if err := os.WriteFile(batch, []byte(commands), 0o600); err != nil {
				t.Fatal(err)
			}
			u.tool("sftp", "-F", u.config, "-b", batch, "web.banger")
		},
		"rsync": func(_ *testing.T, guest, back string) {
			u.tool("rsync", "-a", "-e", shell, from, "web.banger:"+guest)
			u.tool("rsync", "-a", "-e", shell, "web.banger:"+guest+"/tree", back)
		},
		"git": func(_ *testing.T, guest, back string) {
			u.tool("git", "init", "-q", "--bare", "-b", "main", guest+"/repo.git")
			u.tool("git", "-C", from, "init", "-q", "-b", "main")
			defer os.RemoveAll(filepath.Join(from, ".git"))
			u.tool("git", "-C", from, "add", ".")
			u.tool("git", "-C", from, "commit", "-q", "-m", "all")
			u.tool("git", "-C", from, "push", "-q", "web.banger:"+guest+"/repo.git", "main")
			u.tool("git", "clone", "-q", "ssh://web.banger"+guest+"/repo.git", back+"/tree")
			if err := os.RemoveAll(back + "/tree/.git"); err != nil {
				u.t.Fatal(err)
			}
			if err := os.RemoveAll(filepath.Join(from, ".git")); err != nil {
				u.t.Fatal(err)
			}
			if err := os.Symlink(back+"/tree", guest+"/tree"); err != nil { // there is no tree there
				u.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			guest, back := t.TempDir(), t.TempDir()
			do(t, guest, back)
			check(guest + "/tree")
			check(back + "/tree")
		})
	}
}

// The sequence of commands of VS Code's extension Remote - SSH: a shell without a terminal that
// gets a script through its stdin, the server as an archive, its start in the background, and
// its port and its socket through the connection of that shell.
func TestSSHName_IsReachedByAnEditor(t *testing.T) {
	u := newSSHUser(t, hosttest.Options{})
	u.StartVM("web")
	dir, err := os.MkdirTemp("", "s-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socks, remote, local := freePort(t), filepath.Join(dir, "remote"), filepath.Join(dir, "local")
	serveHello(t, remote)
	shell := u.command("ssh", "-T", "-D", "127.0.0.1:"+socks, "-L", local+":"+remote, "web.banger", "sh")
	script, err := shell.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := shell.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	shell.Stderr = t.Output()
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(out)
	say := func(line string, args ...any) {
		if _, err := fmt.Fprintf(script, line+"\n", args...); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(prefix string) string {
		for said.Scan() {
			if rest, ok := strings.CutPrefix(said.Text(), prefix); ok {
				return rest
			}
		}
		t.Fatalf("the shell has not said %q: %v", prefix, said.Err())
		return ""
	}
	say(`echo "7c5e: running"; echo "platform==$(uname -s)=="; mkdir -p %s/server; echo "home==$HOME=="`, dir)
	expect("7c5e: running")
	if platform := expect("platform=="); platform != "Linux==" {
		t.Errorf("the platform is %s", platform)
	}
	program := filepath.Join(t.TempDir(), "index.html")
	if err := os.WriteFile(program, []byte("hello from the server"), 0o600); err != nil {
		t.Fatal(err)
	}
	archive, err := exec.CommandContext(t.Context(), "tar", "-cz", "-C", filepath.Dir(program), "index.html").Output()
	if err != nil {
		t.Fatal(err)
	}
	upload := u.command("ssh", "-T", "web.banger", "tar -xz -C "+dir+"/server")
	upload.Stdin = bytes.NewReader(archive)
	if _, errs, status := run(t, upload); status != 0 {
		t.Fatalf("the upload: exit status %d, %s", status, errs)
	}
	say(`cd %s/server && (exec python3 -u -m http.server --bind 127.0.0.1 0 >../log 2>&1 </dev/null & echo "pid==$!==")`, dir)
	pid := strings.TrimSuffix(expect("pid=="), "==")
	say(`until grep -q port ../log; do sleep 0.05; done; echo "listeningOn==$(sed -n 's/.* port \([0-9]*\) .*/\1/p' ../log)=="; echo "exitCode==0=="`)
	port := strings.TrimSuffix(expect("listeningOn=="), "==")
	expect("exitCode==0")
	proxy := &url.URL{Scheme: "socks5", Host: "127.0.0.1:" + socks}
	through := &http.Transport{Proxy: http.ProxyURL(proxy)}
	defer through.CloseIdleConnections()
	if got := fetch(t, through, "http://127.0.0.1:"+port+"/"); got != "hello from the server" {
		t.Errorf("through -D: %q", got)
	}
	byUnix := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", local)
	}}
	defer byUnix.CloseIdleConnections()
	if got := fetch(t, byUnix, "http://unix/"); got != "hello from a socket" {
		t.Errorf("through -L to a unix socket: %q", got)
	}
	through.CloseIdleConnections()
	byUnix.CloseIdleConnections()
	say("kill %s; exit 0", pid)
	script.Close()
	if _, err := io.Copy(io.Discard, out); err != nil {
		t.Error(err)
	}
	if err := shell.Wait(); err != nil {
		t.Error(err)
	}
}

// serveHello serves one page on a unix socket.
func serveHello(t *testing.T, socket string) {
	t.Helper()
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello from a socket")
	})}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

func fetch(t *testing.T, through *http.Transport, address string) (page string) {
	t.Helper()
	wait.For(t, "the page "+address, func() bool {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := through.RoundTrip(request)
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		data, err := io.ReadAll(answer.Body)
		page = string(data)
		return err == nil
	})
	return page
}

// freePort returns a port on which nothing listened a moment ago.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}
