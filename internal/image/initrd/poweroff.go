package initrd

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/u-root/u-root/pkg/cpio"
)

// Poweroff writes an initrd whose init powers the machine off at once: the
// floor of what a boot can take, and the trial that reports whether KVM works.
func Poweroff(w io.Writer) error {
	init, err := poweroffELF()
	if err != nil {
		return fmt.Errorf("cannot write initrd: %w", err)
	}
	return writeArchive(w, []cpio.Record{
		cpio.Directory("dev", 0o755),
		cpio.CharDev("dev/console", 0o600, 5, 1),
		file("init", init, 0o755),
	})
}

// poweroffCode is x86-64 machine code: reboot(2) with LINUX_REBOOT_CMD_POWER_OFF,
// then pause(2) for ever, since a kernel panics when init ends.
const poweroffCode = "" +
	"\xb8\xa9\x00\x00\x00" + // mov eax, 169           (reboot)
	"\xbf\xad\xde\xe1\xfe" + // mov edi, 0xfee1dead    (LINUX_REBOOT_MAGIC1)
	"\xbe\x69\x19\x12\x28" + // mov esi, 672274793     (LINUX_REBOOT_MAGIC2)
	"\xba\xdc\xfe\x21\x43" + // mov edx, 0x4321fedc    (LINUX_REBOOT_CMD_POWER_OFF)
	"\x0f\x05" + //             syscall
	"\xb8\x22\x00\x00\x00" + // mov eax, 34            (pause)
	"\x0f\x05" + //             syscall
	"\xeb\xf7" //               jmp to the mov before

// poweroffELF returns poweroffCode as a static executable: an ELF-64 header and
// one program header (elf(5)), all loaded as one segment.
func poweroffELF() ([]byte, error) {
	const (
		base       = 0x400000
		headerSize = 64
		progSize   = 56
		size       = headerSize + progSize + len(poweroffCode)
	)
	header := struct {
		Ident                                    [16]byte
		Type, Machine                            uint16
		Version                                  uint32
		Entry, ProgOffset, SectionOffset         uint64
		Flags                                    uint32
		HeaderSize, ProgSize, ProgCount          uint16
		SectionSize, SectionCount, SectionString uint16
	}{
		Ident:      [16]byte{0x7f, 'E', 'L', 'F', 2, 1, 1}, // 64 bits, little endian, version 1
		Type:       2,                                      // ET_EXEC
		Machine:    62,                                     // EM_X86_64
		Version:    1,
		Entry:      base + headerSize + progSize,
		ProgOffset: headerSize,
		HeaderSize: headerSize,
		ProgSize:   progSize,
		ProgCount:  1,
	}
	program := struct {
		Type, Flags                         uint32
		Offset, VAddr, PAddr, FileSize, Mem uint64
		Align                               uint64
	}{
		Type:     1, // PT_LOAD
		Flags:    5, // readable, executable
		VAddr:    base,
		PAddr:    base,
		FileSize: uint64(size),
		Mem:      uint64(size),
		Align:    0x1000,
	}
	var b bytes.Buffer
	for _, part := range []any{header, program, []byte(poweroffCode)} {
		if err := binary.Write(&b, binary.LittleEndian, part); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}
