// Package initrd writes the initial RAM file systems that banger boots guests
// with: cpio archives in the newc format (Linux,
// Documentation/driver-api/early-userspace/buffer-format.rst). An initrd is two
// archives in one file: the base, which all VMs of an image share, and the
// configuration of one VM. Where things lie in it says package guestconfig.
//
// Archives are not compressed: QEMU hands the file to the guest by DMA at the
// host's speed, and an emulated kernel copies it some ten times faster than it
// would decompress it.
package initrd
