#!/bin/sh
# In ssh_config(5), of each parameter the first value obtained is used. ConnectTimeout takes
# "none", but keeps it as if the line were not there: a later block still sets a limit. So
# a block for one host that takes the limit away (behind its proxy a machine starts first)
# has no effect for users with a limit under "Host *". For IdentityAgent and ControlPath
# "none" is a value that stays. What takes the limit away is 0, which the manual does not
# mention for ConnectTimeout.
#
# Seen with openssh-client 1:9.2p1-2+deb12u10 of Debian 12.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
apt-get download -q openssh-client >/dev/null
dpkg -x openssh-client*.deb .
dpkg-deb -f openssh-client*.deb Version
effective() { # KEYWORD FIRST LATER
	printf 'Host machine\n\t%s %s\nHost *\n\t%s %s\n' "$1" "$2" "$1" "$3" >config
	lower=$(echo "$1" | tr '[:upper:]' '[:lower:]')
	is=$(usr/bin/ssh -F config -G machine 2>/dev/null | sed -n "s/^$lower //p")
	printf '%-14s first %-4s then %-2s is %s\n' "$1" "$2" "$3" "${is:-not set}"
}
{
	effective ConnectTimeout none 3
	effective ConnectTimeout 0 3
	effective ConnectTimeout 7 3
	effective IdentityAgent none /x
	effective ControlPath none /x
} | tee seen
want="ConnectTimeout first none then 3  is 3
ConnectTimeout first 0    then 3  is 0
ConnectTimeout first 7    then 3  is 7
IdentityAgent  first none then /x is none
ControlPath    first none then /x is not set"
[ "$(cat seen)" = "$want" ] || { echo "this has changed"; exit 1; }
