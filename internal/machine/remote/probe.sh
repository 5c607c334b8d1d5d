# Tells what this host is, and which folders can hold the state of sessions and the
# programs. It runs in any POSIX shell, with $mark and $version set before it, and
# writes to nothing but folders of banger's.
# shellcheck shell=sh disable=SC2154 # mark and version come before it
umask 077
newline='
'
say() { printf '%s %s\n' "$mark" "$*"; }
uid=$(id -u)
printf '\n'
say system "$(uname -s) $(uname -m)"

if [ -z "$HOME" ]; then
	HOME=$(getent passwd "$uid" 2>/dev/null | cut -d: -f6)
fi

# A directory that is ours, and nobody else's to put something into. It is looked at from
# inside: a name in a directory of everybody's may lead elsewhere at the next look, but
# not once it is known to be that of a directory which is ours.
ours() (
	case $1 in
	*"$newline"*) exit 1 ;;
	/*/*) ;;
	*) exit 1 ;;
	esac
	mkdir -p "$1" 2>/dev/null
	CDPATH='' cd -P "${1%/*}" 2>/dev/null && parent=$(pwd -P) && CDPATH='' cd -P "./${1##*/}" 2>/dev/null || exit 1
	[ "$(pwd -P)" = "${parent%/}/${1##*/}" ] && [ -O . ] && chmod 700 . 2>/dev/null &&
		: 2>/dev/null >"./.try$$" && rm -f "./.try$$"
)

home=${XDG_STATE_HOME:-${HOME:+$HOME/.local/state}}
for dir in "${home:+$home/banger}" "/var/tmp/banger-$uid"; do
	ours "$dir" && say state "$dir" # the first that can be quoted is used
done

for dir in "${home:+$home/banger}" "${XDG_RUNTIME_DIR:+$XDG_RUNTIME_DIR/banger}" \
	"/var/tmp/banger-$uid" "/tmp/banger-$uid" "/dev/shm/banger-$uid"; do
	# A daemon of this host may keep something there, so the versions lie below it. In a
	# folder of somebody else's, they could be replaced.
	ours "$dir" || continue
	dir=$dir/agent
	ours "$dir" || continue
	try=$dir/.try$$
	printf '#!/bin/sh\nexit 7\n' >"$try" 2>/dev/null && chmod 700 "$try" && "$try" 2>/dev/null
	if [ $? -eq 7 ]; then
		say program "$dir"
		[ -x "$dir/$version/banger-agent" ] && [ -x "$dir/$version/banger-shim" ] && say installed "$dir"
	fi
	rm -f "$try"
done
exit 0
