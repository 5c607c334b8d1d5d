// Package kmodtest makes files that are kernel modules as far as their description is concerned.
package kmodtest

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"strings"
)

// Module returns an object file with what a module says of itself, each KEY=VALUE.
func Module(said ...string) ([]byte, error) {
	info := strings.Join(said, "\x00") + "\x00"
	const names = "\x00.modinfo\x00.shstrtab\x00"
	const headerBytes, sectionBytes = 64, 64
	infoAt := uint64(headerBytes)
	namesAt := infoAt + uint64(len(info))
	sectionsAt := namesAt + uint64(len(names))
	header := elf.Header64{
		Type: uint16(elf.ET_REL), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
		Shoff: sectionsAt, Ehsize: headerBytes, Shentsize: sectionBytes, Shnum: 3, Shstrndx: 2,
	}
	copy(header.Ident[:], elf.ELFMAG+string([]byte{byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)}))
	var b bytes.Buffer
	for _, part := range []any{
		header, []byte(info), []byte(names),
		[3]elf.Section64{
			{},
			{Name: 1, Type: uint32(elf.SHT_PROGBITS), Off: infoAt, Size: uint64(len(info)), Addralign: 1},
			{Name: uint32(1 + len(".modinfo\x00")), Type: uint32(elf.SHT_STRTAB), Off: namesAt, Size: uint64(len(names)), Addralign: 1},
		},
	} {
		if err := binary.Write(&b, binary.LittleEndian, part); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}
