#!/bin/bash
# Demonstrates the main promises of banger and checks each of them. It uses an installation
# of its own; only the image is kept, in .cache/demo of the checkout.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
PATH=$root/bin:$PATH
lines=40
created='' up='' # set once the VM demo, or web, may exist

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
		printf '\ndemo: the last lines of the daemon'\''s log:\n' >&2
		tail -n 30 "$state/state/banger/daemon.log" >&2
	fi
	if [ -n "$created" ]; then
		banger vm delete demo --force || status=1
	fi
	if [ -n "$up" ]; then
		banger vm delete web --force || status=1
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

# expect_status STATUS COMMAND...: runs a command that must exit with STATUS
expect_status() {
	local want=$1 got=0
	shift
	"$@" || got=$?
	[ "$got" -eq "$want" ] || fail "'$*' exited with status $got, not $want"
}

# expect_json FIELD VALUE SESSION: compares a field of a session's record
expect_json() {
	banger session show demo "$3" --json | grep -qxE " *\"$1\": $2,?" ||
		fail "in the record of session $3, $1 is not $2: $(banger session show demo "$3" --json)"
}

# expect_log SESSION STREAM TEXT: compares a log, byte for byte
expect_log() {
	banger session logs demo "$1" --stream "$2" -n all >"$state/got" 2>&1
	printf '%s' "$3" | cmp - "$state/got" || fail "the $2 of session $1 is not what it wrote"
}

# reached SESSION LINE: waits until a session has written a line
reached() (
	set +o pipefail # logs gets SIGPIPE when grep has found its line
	banger session logs demo "$1" -f -n all | grep -qxm1 "$2"
)

say "build an image (reused by later runs)"
banger image build

say "create and start a VM"
created=yes
time banger vm create demo --start
banger vm list

say "start a session that counts to $lines, and a client that waits for it"
# shellcheck disable=SC2016 # for the guest's shell
banger session start demo --name count -- \
	sh -c 'i=0; while [ $i -lt '"$lines"' ]; do i=$((i+1)); echo line $i; sleep 0.1; done'
banger session wait demo count &
waiting=$!
reached count 'line 10' || fail "session count did not reach line 10"

daemon=$(banger daemon status --json | sed -n 's/^ *"pid": \([0-9]*\),*$/\1/p')
say "kill the daemon (pid $daemon) with SIGKILL"
kill -9 "$daemon"

say "the daemon restarts on demand; the session and its client continue"
expect_status 0 wait "$waiting"
again=$(banger daemon status --json | sed -n 's/^ *"pid": \([0-9]*\),*$/\1/p')
if [ -z "$again" ] || [ "$again" = "$daemon" ]; then
	fail "no new daemon was started: pid '$again', before '$daemon'"
fi
echo "the new daemon has pid $again"
expect_status 0 banger session wait demo count
expect_json status '"exited"' count
expect_json exit_code 0 count
expect_log count stdout "$(seq -f 'line %g' 1 "$lines")"$'\n'
echo "all $lines lines are in the log, and the exit status is 0"

say "a session that exits with status 3"
banger session start demo --name fails -- sh -c 'echo no luck >&2; exit 3'
expect_status 3 banger session wait demo fails
expect_json status '"failed"' fails
expect_json exit_code 3 fails
expect_log fails stderr $'no luck\n'
echo "wait exited with status 3; the record has the status failed and exit_code 3"

say "feed the stdin of a session (sort) and close it"
banger session start demo --name sort --stdin pipe -- sort
printf 'pear\napple\n' | banger session send demo sort
printf 'fig\n' | banger session send demo sort --eof
expect_status 0 banger session wait demo sort
expect_log sort stdout $'apple\nfig\npear\n'
banger session logs demo sort

say "all sessions"
banger session list demo

# What docker pull gets from a registry; this one is ours, and ends with its standard input.
say "pull an image from a registry and run a command in it"
layer=$root/.cache/demo/busybox.tar
if [ ! -e "$layer" ]; then
	mmdebstrap --quiet --variant=extract --include=busybox-static bookworm "$state/busybox.tar"
	mv "$state/busybox.tar" "$layer"
fi
(cd "$root" && go build -o "$state/demoregistry" ./internal/tools/demoregistry)
coproc registry { "$state/demoregistry" "$layer"; }
read -r image <&"${registry[0]}"
# shellcheck disable=SC2016 # for the guest's shell
said=$(banger run "$image" -- sh -c 'echo "$GREETING from $PWD"')
[ "$said" = 'hello from /srv' ] || fail "the command in the image said '$said'"
echo "$said"

say "a VM of it that stays, with the image's own command"
up=yes
time banger up --name web "$image"
banger ps
page=$(banger exec web -- wget -q -O - http://127.0.0.1:8080/)
[ "$page" = 'hello from an image' ] || fail "the image's server answered '$page'"
echo "its server answers: $page"

say "commands in it: streams, exit statuses, a shell"
sorted=$(printf 'pear\napple\n' | banger exec -i web -- sort)
[ "$sorted" = $'apple\npear' ] || fail "sort said '$sorted'"
expect_status 7 banger exec web -- sh -c 'exit 7'
expect_status 127 banger exec web -- no-such-command
# shellcheck disable=SC2016 # for the guest's shell
[ "$(banger shell web -- 'echo $((6 * 7))')" = 42 ] || fail "the shell does not calculate"
mkdir "$state/notes" && echo 'copied' >"$state/notes/note"
banger cp "$state/notes" web:/srv/
banger cp web:/srv/notes/note "$state/note.back"
cmp "$state/notes/note" "$state/note.back" || fail "what was copied to the VM and back is not the same"
[ "$(tar c -C "$state" notes | banger cp - web:/tmp && banger cp web:/tmp/notes - | tar xO notes/note)" = copied ] || fail "a tar archive did not come back"
echo "an exit status of 7, a command that is not there, and a shell that calculates: as expected"

say "your own ssh and scp, by the VM's name, and a session as a destination"
banger ssh-config >"$state/ssh_config"
# shellcheck disable=SC2016 # for the guest's shell
said=$(ssh -F "$state/ssh_config" web.banger 'echo "$GREETING from $(cat /proc/sys/kernel/hostname)"')
[ "$said" = 'hello from web' ] || fail "ssh web.banger said '$said'"
scp -q -F "$state/ssh_config" "$state/ssh_config" web.banger:copied
[ "$(ssh -F "$state/ssh_config" web.banger cat copied)" = "$(cat "$state/ssh_config")" ] || fail "scp has changed a file"
# shellcheck disable=SC2016 # for the guest's shell
banger session start web --name greet --stdin pipe -- sh -c 'read who; echo "hello $who"; exit 4'
expect_status 4 ssh -T -F "$state/ssh_config" +greet.web.banger <<<'from ssh' >"$state/got"
[ "$(cat "$state/got")" = 'hello from ssh' ] || fail "the session said '$(cat "$state/got")'"
echo "the session greets, and ssh has its exit status, 4: as expected"
