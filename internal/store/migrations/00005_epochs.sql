-- A VM and its forks have sessions with the same ids, and each branch of a VM's life has an
-- epoch (docs/decisions/0035).

-- +goose Up
CREATE TABLE sessions5 (
    seq             INTEGER PRIMARY KEY,
    id              TEXT NOT NULL,
    vm_id           TEXT NOT NULL REFERENCES vms (id),
    name            TEXT NOT NULL,
    idempotency_key TEXT, -- NULL if none was given
    record          TEXT NOT NULL,
    UNIQUE (vm_id, id),
    UNIQUE (vm_id, name),
    UNIQUE (vm_id, idempotency_key)
) STRICT;
INSERT INTO sessions5 SELECT seq, id, vm_id, name, idempotency_key, record FROM sessions;

CREATE TABLE launches5 (
    session INTEGER PRIMARY KEY REFERENCES sessions5 (seq) ON DELETE CASCADE,
    launch  TEXT NOT NULL -- a JSON document, too
) STRICT;
INSERT INTO launches5 SELECT s.seq, l.launch FROM launches l JOIN sessions s ON s.id = l.session_id;

DROP TABLE launches;
DROP TABLE sessions;
ALTER TABLE sessions5 RENAME TO sessions;
ALTER TABLE launches5 RENAME TO launches;
-- A list of one VM's sessions is in the order of seq, which each entry ends with.
CREATE INDEX sessions_by_vm ON sessions (vm_id);

-- Every epoch but the first of a VM that is not a fork, whose id is the VM's.
CREATE TABLE epochs (
    id     TEXT PRIMARY KEY,
    parent TEXT NOT NULL,
    root   TEXT NOT NULL,   -- the first of its tree
    began  INTEGER NOT NULL -- nanoseconds since 1970, UTC
) STRICT, WITHOUT ROWID;
CREATE INDEX epochs_by_root ON epochs (root);
CREATE INDEX epochs_by_parent ON epochs (parent);

-- Where an epoch parted from its parent, in each session that there was then.
CREATE TABLE partings (
    epoch      TEXT NOT NULL REFERENCES epochs (id) ON DELETE CASCADE,
    session_id TEXT NOT NULL,
    stdout     INTEGER NOT NULL,
    stderr     INTEGER NOT NULL,
    stdin      INTEGER NOT NULL,
    PRIMARY KEY (epoch, session_id)
) STRICT, WITHOUT ROWID;
