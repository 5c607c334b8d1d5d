// Package guestconfig is the configuration that the host gives a guest in the
// second archive of its initrd, and where things lie in a guest. It is a format:
// written on the host, read by the agent as PID 1.
package guestconfig

import "banger"

// Config is what one boot of one VM needs. By what a guest finds its network, disks and
// port is the driver's to say. It holds a private key: the file and
// whatever carries it are readable by the owner only.
type Config struct {
	Hostname       string   `json:"hostname"`
	Network        Network  `json:"network"`
	SSHHostKey     string   `json:"ssh_host_key"`    // PEM, OpenSSH private key format
	AuthorizedKeys []string `json:"authorized_keys"` // authorized_keys lines, sshd(8)
	ImageDisks     []string `json:"image_disks"`     // serials of the read-only root file systems that are stacked, the lowest first
	SystemDisk     string   `json:"system_disk"`     // serial of the disk with the overlay over it
	WorkDisk       string   `json:"work_disk"`       // serial of the disk mounted at /root
	User           string   `json:"user,omitempty"`  // whose home is on the work disk, too; as in the configuration of an OCI image
	ReadyPort      string   `json:"ready_port"`      // virtio-serial port on which the guest announces itself
	// LoginUser is who a login as ImageUser is, USER or USER:GROUP; root, if it is empty.
	LoginUser string `json:"login_user,omitempty"`
	// Env are the variables of the image's configuration, which logins have, too.
	Env  map[string]banger.ByteString `json:"env,omitempty"`
	VMID string                       `json:"vm_id,omitempty"` // tells a VM from one with a copy of its disks
	Init string                       `json:"init,omitempty"`  // InitSystemd, or empty for the agent
	// Modules are loaded beside those that the agent itself needs, by name, with
	// their dependencies, from the initrd.
	Modules []string `json:"modules,omitempty"`
}

// Network is the static configuration of the only interface.
type Network struct {
	Address string   `json:"address"` // CIDR
	Gateway string   `json:"gateway"`
	DNS     []string `json:"dns"`
}

// InitSystemd is the Init of a guest whose image brings its own: systemd.
const InitSystemd = "systemd"

// SystemdPrograms are where an image has systemd, without a leading slash; an older Debian has no
// links from /lib to /usr/lib.
func SystemdPrograms() []string { return []string{"usr/lib/systemd/systemd", "lib/systemd/systemd"} }

// Where things lie. InitrdConfig and InitrdModules are paths in the initrd; the
// others hold in the running guest, where /run is a tmpfs.
const (
	InitrdAgent   = "/init"
	InitrdShim    = "/banger/banger-shim"
	InitrdConfig  = "/banger/config.json"
	InitrdModules = "/banger/modules" // one path a line, in the order of loading
	RunDir        = "/run/banger"
	RunConfig     = "/run/banger/config.json" // 0600
	AgentPath     = "/run/banger/bin/banger-agent"
	ShimPath      = "/run/banger/bin/banger-shim"
	WorkDir       = "/root"
	SSHPort       = 22
	// SessionsDir holds one directory per session, named by its id.
	SessionsDir = WorkDir + "/" + SessionsOnDisk
	// SessionsOnDisk is where that is on the work disk.
	SessionsOnDisk = ".local/state/banger/sessions"
	// AgentName and ShimName are the programs in a version's directory on a remote host,
	// UploadPrefix begins the name of a directory in which one is being uploaded.
	AgentName    = "banger-agent"
	ShimName     = "banger-shim"
	UploadPrefix = ".new-"
	// ImageUser is the name under which a login is that of the user of the image's
	// configuration, who may have none; root, if there is no such user. An account of that
	// name comes first.
	ImageUser = "image-user"
	// ControlSubsystem is the SSH subsystem (RFC 4254, 6.5) that runs
	// banger-agent control.
	ControlSubsystem = "banger-control"
	// CopySubsystem is the one that runs banger-agent copy.
	CopySubsystem = "banger-copy"
)
