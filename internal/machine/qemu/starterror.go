package qemu

import (
	"context"
	"io"
	"os"
	"strings"

	"banger"
)

// maxQuote is how much of QEMU's messages an error quotes.
const maxQuote = 2048

// refusals are what QEMU says when the user can do something about it, in the
// order in which they are looked for.
var refusals = []struct {
	says string // part of its message
	code banger.Code
	hint string
}{
	{`Failed to get "write" lock`, banger.CodeInUse, "end the process that uses the disk; see it with: lsof"},
	{`Failed to get shared "write" lock`, banger.CodeInUse, "end the process that uses the disk; see it with: lsof"},
	{"Could not access KVM", banger.CodeMissing, "see what is wrong with KVM with: banger doctor"},
	{"cannot set up guest memory", banger.CodeMissing, "give the VM less memory, or the host more"},
	{"Cannot allocate memory", banger.CodeMissing, "give the VM less memory, or the host more"},
	{"No such file or directory", banger.CodeCorrupt, "a file of the VM or of its image is gone: build the image again"},
	{"could not load initrd", banger.CodeCorrupt, "a file of the VM or of its image is gone: build the image again"},
	{"could not open kernel file", banger.CodeCorrupt, "a file of the VM or of its image is gone: build the image again"},
}

// explain turns the cause of a failed start into an error for the user. QEMU
// says why it gives up in its log only.
func (l *launch) explain(ctx context.Context, cause error) error {
	if ctx.Err() != nil {
		return banger.Errorf(banger.CodeTimeout, "cannot start machine of VM %s: %w", l.spec.VMID, context.Cause(ctx))
	}
	said := l.quote()
	if said == "" {
		return banger.Errorf(banger.CodeInternal, "cannot start machine of VM %s: %w", l.spec.VMID, cause)
	}
	for _, r := range refusals {
		if strings.Contains(said, r.says) {
			return banger.Errorf(r.code, "cannot start machine of VM %s: QEMU says: %s", l.spec.VMID, said).WithHint("%s", r.hint)
		}
	}
	return banger.Errorf(banger.CodeInternal, "cannot start machine of VM %s: QEMU says: %s", l.spec.VMID, said)
}

// quote returns the end of what QEMU said, in one line.
func (l *launch) quote() string {
	f, err := os.Open(l.statePath(qemuLogName))
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	data, err := io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-maxQuote), maxQuote))
	if err != nil {
		return ""
	}
	lines := strings.FieldsFunc(string(data), func(r rune) bool { return r == '\n' })
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "qemu-system-x86_64: ")
	}
	return strings.Join(lines, "; ")
}
