#!/bin/sh
# An ssh:// destination of OpenSSH is not read as a URI (RFC 3986). A plus sign in the
# user's name becomes a blank, as in an HTML form: ssh://first+last@host logs in as
# "first last". An IPv6 address in brackets is refused with the usage text. And a scheme
# in capitals, which means the same in a URI, is taken for a user named SSH://me. The plain
# form USER@HOST takes all three, so who turns USER@HOST into a URI for ssh breaks them.
#
# Seen with openssh-client 1:9.2p1-2+deb12u10 of Debian 12 (any 9.2p1 will do).
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
apt-get download -q openssh-client >/dev/null
dpkg -x openssh-client*.deb .
dpkg-deb -f openssh-client*.deb Version
read_as() { usr/bin/ssh -F /dev/null -G -- "$1" 2>&1 | grep -E '^(user |hostname |usage)' | sort | tr '\n' ',' | cut -c1-40; }
for destination in ssh://first+last@host first+last@host 'ssh://[::1]:22' 'me@::1' SSH://me@host; do
	printf '%-24s %s\n' "$destination" "$(read_as "$destination")"
done | tee seen
want="ssh://first+last@host    hostname host,user first last,
first+last@host          hostname host,user first+last,
ssh://[::1]:22           usage: ssh [-46AaCfGgKkMNnqsTtVvXxYy] [-
me@::1                   hostname ::1,user me,
SSH://me@host            hostname host,user SSH://me,"
[ "$(cat seen)" = "$want" ] || { echo "this has changed"; exit 1; }
