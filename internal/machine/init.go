package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"banger"
	"banger/internal/ext4fs"
	"banger/internal/guestconfig"
	"banger/internal/overlay"
)

// chooseInit returns what is to be process 1 of a VM. An image whose command is systemd can
// have that command run in no other way, so it gets it by default, as with podman; its
// configuration, which the VM's sessions get their defaults from, has no command then.
func chooseInit(asked banger.Init, image string, files ImageFiles, config *banger.ImageConfig) (banger.Init, error) {
	own := config != nil && runsSystemd(*config)
	if asked == banger.InitBanger || asked == "" && !own {
		return banger.InitBanger, nil
	}
	has, err := hasSystemd(files.Roots)
	switch {
	case err != nil:
		return "", fmt.Errorf("cannot create VM of image %s: %w", image, err)
	case !has && asked == "": // its init is another one
		return banger.InitBanger, nil
	case !has:
		return "", banger.Errorf(banger.CodeInvalid, "cannot create VM with systemd as init: image %s has no systemd (/%s)", image, guestconfig.SystemdPrograms()[0]).
			WithHint("leave out --init, or use an image that has it, such as one built with: banger image build NAME --include systemd-sysv,udev,dbus")
	}
	if own {
		config.Entrypoint, config.Cmd = nil, nil
	}
	return banger.InitSystemd, nil
}

// runsSystemd reports whether the command of an image is an init that systemd may be, by the
// names that podman-run(1) knows (--systemd).
func runsSystemd(c banger.ImageConfig) bool {
	argv := append(append([]string{}, c.Entrypoint...), c.Cmd...)
	if len(argv) == 0 {
		return false
	}
	switch p := path.Clean(argv[0]); p {
	case "/sbin/init", "/usr/sbin/init", "/usr/local/sbin/init":
		return true
	default:
		return path.Base(p) == "systemd"
	}
}

// hasSystemd reports whether a stack of file systems, the lowest first, has systemd.
func hasSystemd(roots []string) (bool, error) {
	layers := make([]fs.StatFS, len(roots))
	for n, root := range roots {
		file, err := os.Open(root)
		if err != nil {
			return false, fmt.Errorf("cannot look for systemd: %w", err)
		}
		defer file.Close()
		fsys, err := ext4fs.Open(file)
		if err != nil {
			return false, fmt.Errorf("cannot look for systemd in %s: %w", root, err)
		}
		layers[len(roots)-1-n] = fsys
	}
	stack := overlay.New(layers...)
	for _, name := range guestconfig.SystemdPrograms() {
		info, err := stack.Stat(name)
		if err == nil && info.Mode().IsRegular() {
			return true, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, fmt.Errorf("cannot look for systemd: %w", err)
		}
	}
	return false, nil
}

// guestInit is what a guest's configuration calls an init.
func guestInit(i banger.Init) string {
	if i == banger.InitSystemd {
		return guestconfig.InitSystemd
	}
	return ""
}
