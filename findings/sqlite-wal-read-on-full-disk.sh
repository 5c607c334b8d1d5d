#!/bin/sh
# A SQLite database in WAL mode that was closed cleanly cannot be read on a full file
# system, not even with mode=ro: the index of a WAL that is empty has to be made first.
# The error is an I/O error (SQLITE_IOERR), not SQLITE_FULL, so who looks for a
# full disk by its code does not find it. With immutable=1 the same file is read.
#
# Seen with pysqlite3-binary 0.5.4 (SQLite 3.46.1) and with SQLite 3.40.1 of Debian 12
# (extended code SQLITE_IOERR_SHMSIZE), on tmpfs. What follows for whoever keeps state in such a file: keep
# room in reserve for opening it, too.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check pysqlite3-binary==0.5.4
cat >"$dir/try.py" <<'PY'
import os, sys
from pysqlite3 import dbapi2 as sqlite

here = sys.argv[1]
file = here + "/a.db"
db = sqlite.connect(file)
db.execute("pragma journal_mode=wal")
db.execute("create table t(x)")
db.execute("insert into t values (1)")
db.commit()
db.close()
assert os.listdir(here) == ["a.db"], os.listdir(here)  # a clean close leaves nothing else
with open(here + "/fill", "wb", buffering=0) as fill:
    try:
        while True:
            fill.write(b"x" * 4096)
    except OSError as e:
        print("the disk is full:", e.strerror)


def read(options):
    try:
        db = sqlite.connect("file:%s%s" % (file, options), uri=True)
        return db.execute("select x from t").fetchall()
    except sqlite.OperationalError as e:
        return "%s (%s)" % (e, e.sqlite_errorname)


seen = [read(options) for options in ("", "?mode=ro", "?immutable=1")]
print("SQLite", sqlite.sqlite_version, "reads:", *seen, sep="\n  ")
want = "disk I/O error (SQLITE_IOERR)"
sys.exit(seen != [want, want, [(1,)]])
PY
mkdir "$dir/full"
# The mount ends with the namespace.
# shellcheck disable=SC2016 # the inner shell expands them
unshare --map-root-user --mount sh -c 'mount -t tmpfs -o size=256k none "$2" && exec "$1/venv/bin/python" "$1/try.py" "$2"' \
	sh "$dir" "$dir/full" || { echo "this has changed"; exit 1; }
