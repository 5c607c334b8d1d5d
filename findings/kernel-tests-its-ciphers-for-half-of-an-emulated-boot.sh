#!/bin/sh
# More than half of what Debian's cloud kernel executes between its first message and its
# init is the test of its own ciphers: each is tested when it is registered, against vectors
# and against itself. On a real processor that is hardly seen, and nothing in the log says
# where the time goes; emulated it is most of a boot. cryptomgr.notests on the command line
# leaves the tests out; mitigations=off, which is recommended for such guests, changes
# nothing beside that.
#
# The time is the guest's own: with -icount shift=0 its clock counts instructions, a
# nanosecond for each, so that it depends neither on the host nor on what else that does. The
# kernel has no root to mount, and its panic says when it had come so far.
#
# Seen with linux-image-6.1.0-57-cloud-amd64 6.1.192-3 and QEMU 7.2 of Debian 12 (TCG, -cpu
# max): 1.56 s, and 0.68 s without the tests.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
# A signed image is of the same version as the unsigned one, which the mirror keeps for longer.
apt-get download -q linux-image-6.1.0-57-cloud-amd64=6.1.192-3 >/dev/null
closure() {
	apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks \
		--no-replaces --no-enhances "$1" | grep '^[a-z0-9]' | grep -v -e '^libc6$' -e ':'
}
# shellcheck disable=SC2046 # a list of packages
apt-get download -q $(closure qemu-system-x86) >/dev/null 2>&1 || true # virtual ones cannot be
for package in *.deb; do dpkg -x "$package" .; done
LD_LIBRARY_PATH=$(find "$dir" -name 'lib*.so*' -printf '%h:' | tr ':' '\n' | sort -u | tr '\n' ':')
export LD_LIBRARY_PATH
qemu=$dir/usr/bin/qemu-system-x86_64
"$qemu" --version | head -1

# boot WORDS: the guest's time in seconds at which the kernel looks for its root
boot() {
	timeout 300 "$qemu" -M q35,accel=tcg -icount shift=0,sleep=off -cpu max -m 512 -nodefaults -no-user-config \
		-display none -no-reboot -serial stdio -L usr/share/seabios -L usr/share/qemu \
		-kernel boot/vmlinuz-* -append "console=ttyS0 panic=-1 $1" </dev/null >said 2>&1 || true
	grep -a 'VFS: Unable to mount root' said | head -1 | tr -d '[]' | awk '{ print $1 }'
}
with=$(boot '')
without=$(boot cryptomgr.notests)
both=$(boot 'cryptomgr.notests mitigations=off')
echo "as it is $with s, without the tests $without s, without mitigations as well $both s"
awk -v a="$with" -v b="$without" -v c="$both" 'BEGIN { exit !(a > 0 && b > 0 && b < a * 0.55 && c > b * 0.9) }' || {
	echo "this has changed"
	exit 1
}
