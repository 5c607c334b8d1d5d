#!/bin/sh
# /proc/PID/environ of a process that executes a program at the moment is empty, although
# the process had an environment before and has it again at once: the kernel has given it
# new memory and has not put anything there yet. /proc/PID/stat has start_code 0 then.
# Another reader gets nothing because it opened the file just before the change, and that
# memory is gone. So who looks for all processes with a certain variable (to kill what a
# job has left, say) misses those that are starting, and they live on: a process that is
# found without environment has to be looked at again.
#
# Seen on Linux 6.18 with dash 0.5.12 and Python 3.11: 323 of 20,000 reads were empty.
set -eu
dir=$(mktemp -d)
pid=
trap 'kill -9 $pid 2>/dev/null; rm -rf "$dir"' EXIT
# shellcheck disable=SC2016 # the script expands it
printf '#!/bin/sh\nexec "$0"\n' >"$dir/again"
chmod +x "$dir/again"
MARK=found "$dir/again" &
pid=$!
python3 - "$pid" <<'P' || { echo "this has changed"; exit 1; }
import sys

process = "/proc/" + sys.argv[1]
reads, empty, other = 20_000, 0, 0
for _ in range(reads):
    environ = open(process + "/environ", "rb").read()
    if b"MARK=found\0" not in environ:
        empty += environ == b""
        other += environ != b""
print(f"of {reads} reads of the environment of a living process {empty} are empty, {other} lack the variable")
sys.exit(not (empty > 0 and other == 0))
P
