package banger

// Services are all that a daemon does, and what a client of it can have done.
type Services struct {
	VMs      VMService
	Remotes  RemoteService
	Sessions SessionService
	Streams  SessionStreams
	Control  SessionControl
	Images   ImageService
	Kernels  KernelService
	Events   EventService
	Host     HostService
	Trash    TrashService
	Disk     DiskService
}
