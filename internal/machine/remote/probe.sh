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

unfit() { say unfit "$1: $2"; }

# A directory that is ours, and nobody else's to put something into. It is looked at from
# inside: a name in a directory of everybody's may lead elsewhere at the next look, but
# not once it is known to be that of a directory which is ours. Else it says why not.
ours() (
	case $1 in
	*"$newline"* | *[\'\\!]*)
		unfit 'a directory' 'its name cannot be quoted for every shell'
		exit 1
		;;
	/*/*) ;;
	*)
		unfit "$1" 'it is not an absolute path'
		exit 1
		;;
	esac
	why=$(mkdir -p "$1" 2>&1)
	if ! { CDPATH='' cd -P "${1%/*}" && parent=$(pwd -P) && CDPATH='' cd -P "./${1##*/}"; } 2>/dev/null; then
		unfit "$1" "it cannot be made or entered: $why"
		exit 1
	fi
	if ! { [ "$(pwd -P)" = "${parent%/}/${1##*/}" ] && [ -O . ] && chmod 700 . 2>/dev/null; }; then
		unfit "$1" 'it is not the own directory of this user'
		exit 1
	fi
	why=$( (echo x >"./.try$$") 2>&1) && [ -s "./.try$$" ] && mv "./.try$$" "./.tried$$" 2>/dev/null && rm -f "./.tried$$" && exit 0
	rm -f "./.try$$" 2>/dev/null
	unfit "$1" "a file cannot be written, renamed and removed there: $why"
	exit 1
)

home=${XDG_STATE_HOME:-${HOME:+$HOME/.local/state}}
installed=
set --
for dir in "${home:+$home/banger}" "${XDG_RUNTIME_DIR:+$XDG_RUNTIME_DIR/banger}" \
	"/var/tmp/banger-$uid" "/tmp/banger-$uid" "/dev/shm/banger-$uid"; do
	# A daemon of this host may keep something there, so the versions lie below it. In a
	# folder of somebody else's, they could be replaced.
	[ -n "$dir" ] || continue
	ours "$dir" || continue
	case $dir in
	"$home/banger" | "/var/tmp/banger-$uid") set -- "$@" "$dir" ;; # for sessions: what a reboot leaves
	esac
	dir=$dir/agent
	ours "$dir" || continue
	try=$dir/.try$$
	printf '#!/bin/sh\nexit 7\n' >"$try" 2>/dev/null && chmod 700 "$try" && "$try" 2>/dev/null
	if [ $? -eq 7 ]; then
		say program "$dir"
		# Not by -x: it fails where a filter refuses faccessat2 with EPERM.
		if [ -z "$installed" ] && [ -s "$dir/$version/banger-agent" ] && [ -s "$dir/$version/banger-shim" ]; then
			installed=$dir
			say installed "$dir"
		fi
	else
		unfit "$dir" 'a program cannot be executed there'
	fi
	rm -f "$try"
done
# What sessions need no shell can try.
if [ -n "$installed" ] && [ $# -gt 0 ]; then
	"$installed/$version/banger-agent" try --mark "$mark" "$@"
fi
exit 0
