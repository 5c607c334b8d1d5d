#!/bin/bash
# Shows what makes banger worth having, and checks it. It is an installation of
# its own: only the image is kept, in .cache/demo of the checkout.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
PATH=$root/bin:$PATH
lines=40
created= # whether there may be a VM

mkdir -p "$root/.cache/demo"
state=$(mktemp -d "$root/.cache/demo/run.XXXXXX")
export XDG_DATA_HOME=$root/.cache/demo/data
export XDG_CONFIG_HOME=$state/config
export XDG_STATE_HOME=$state/state

say() {
	printf '\n==> %s\n' "$*"
}

fail() {
	printf 'demo: FAILED: %s\n' "$*" >&2
	exit 1
}

# shellcheck disable=SC2317 # called by the trap
clean_up() {
	local status=$?
	trap - EXIT
	if [ "$status" -ne 0 ] && [ -e "$state/state/banger/daemon.log" ]; then
		printf '\ndemo: the end of the daemon'\''s log:\n' >&2
		tail -n 30 "$state/state/banger/daemon.log" >&2
	fi
	if [ -n "$created" ]; then
		banger vm delete demo --force || status=1
	fi
	banger daemon stop || status=1
	if [ "$status" -eq 0 ]; then
		printf '\ndemo: ok\n'
	fi
	rm -rf "$state"
	exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# expect_status STATUS COMMAND...: runs a command that must end with a status
expect_status() {
	local want=$1 got=0
	shift
	"$@" || got=$?
	[ "$got" -eq "$want" ] || fail "'$*' ended with exit status $got, not $want"
}

# expect_json FIELD VALUE SESSION: compares a field of a session's record
expect_json() {
	banger session show demo "$3" --json | grep -qxE " *\"$1\": $2,?" ||
		fail "the record of session $3 does not say that $1 is $2: $(banger session show demo "$3" --json)"
}

# expect_log SESSION STREAM TEXT: compares a log, byte for byte
expect_log() {
	banger session logs demo "$1" --stream "$2" -n all >"$state/got" 2>&1
	printf '%s' "$3" | cmp - "$state/got" || fail "the $2 of session $1 is not what it wrote"
}

# reached SESSION LINE: waits until a session has written a line
reached() (
	set +o pipefail # logs is ended by the reader
	banger session logs demo "$1" -f -n all | grep -qxm1 "$2"
)

say "an image: built once, kept for the next time"
banger image build

say "a virtual machine"
created=yes
time banger vm create demo --start
banger vm list

say "a session that counts to $lines, and a client that waits for it"
# shellcheck disable=SC2016 # for the guest's shell
banger session start demo --name count -- \
	sh -c 'i=0; while [ $i -lt '"$lines"' ]; do i=$((i+1)); echo line $i; sleep 0.1; done'
banger session wait demo count &
waiting=$!
reached count 'line 10' || fail "session count did not get to line 10"

daemon=$(banger daemon status --json | sed -n 's/^ *"pid": \([0-9]*\),*$/\1/p')
say "the daemon (pid $daemon) is killed with kill -9"
kill -9 "$daemon"

say "the daemon comes back by itself, and everybody goes on"
expect_status 0 wait "$waiting"
again=$(banger daemon status --json | sed -n 's/^ *"pid": \([0-9]*\),*$/\1/p')
if [ -z "$again" ] || [ "$again" = "$daemon" ]; then
	fail "there is no new daemon: '$again' after '$daemon'"
fi
echo "the new one has pid $again"
expect_status 0 banger session wait demo count
expect_json status '"exited"' count
expect_json exit_code 0 count
expect_log count stdout "$(seq -f 'line %g' 1 "$lines")"$'\n'
echo "all $lines lines are there, and the exit status is 0"

say "a session that exits 3"
banger session start demo --name fails -- sh -c 'echo no luck >&2; exit 3'
expect_status 3 banger session wait demo fails
expect_json status '"failed"' fails
expect_json exit_code 3 fails
expect_log fails stderr $'no luck\n'
echo "wait ended with 3, and the record says failed with exit_code 3"

say "a session that is fed through stdin, with a real end-of-file: sort"
banger session start demo --name sort --stdin pipe -- sort
printf 'pear\napple\n' | banger session send demo sort
printf 'fig\n' | banger session send demo sort --eof
expect_status 0 banger session wait demo sort
expect_log sort stdout $'apple\nfig\npear\n'
banger session logs demo sort

say "what there was"
banger session list demo
