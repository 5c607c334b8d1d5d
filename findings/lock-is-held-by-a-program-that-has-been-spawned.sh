#!/bin/sh
# posix_spawn(3) returns, the file of a lock is closed by the only process that ever knew
# of it, and the lock is still held: by the new program, though the descriptor was
# close-on-exec. The kernel lets the parent of a vfork continue when the child has its new
# memory, and closes the child's descriptors after that, in their order: with no other
# files open nothing is seen of it, with some hundred most next attempts to take the lock
# (flock(2), and F_OFD_SETLK likewise) fail with EAGAIN. "Another instance is running"
# says then a process that has just let go of the lock itself and started some command
# before. To unlock before the close is enough: that frees the lock whoever has copies.
#
# Seen on Linux 6.18 with glibc 2.36 and Python 3.11 (os.posix_spawn): 0 of 300 attempts
# failed with 0 other files, 244 with 100, 273 with 1,000; with LOCK_UN first, none.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
uname -sr
python3 - "$dir/lock" <<'P' || { echo "this has changed"; exit 1; }
import fcntl
import os
import sys

path = sys.argv[1]
flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC


def attempts_that_fail(others, unlock, rounds=300):
    kept = [os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC) for _ in range(others)]
    failed = 0
    for _ in range(rounds):
        lock = os.open(path, flags)
        fcntl.flock(lock, fcntl.LOCK_EX)
        pid = os.posix_spawn("/bin/true", ["true"], {})
        if unlock:
            fcntl.flock(lock, fcntl.LOCK_UN)
        os.close(lock)
        again = os.open(path, flags)
        try:
            fcntl.flock(again, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            failed += 1
        os.close(again)
        os.waitpid(pid, 0)
    for fd in kept:
        os.close(fd)
    print(f"{failed} of {rounds} failed with {others} other files open, the lock {'unlocked and ' if unlock else ''}closed")
    return failed


attempts_that_fail(0, False)
closed = attempts_that_fail(500, False)
unlocked = attempts_that_fail(500, True)
sys.exit(not (closed > 0 and unlocked == 0))
P
