-- A table has a column only for what is looked up or constrained; everything
-- else is in the record, a JSON document (docs/decisions/0002).

-- +goose Up
CREATE TABLE images (
    seq    INTEGER PRIMARY KEY, -- the order of creation
    id     TEXT NOT NULL UNIQUE,
    name   TEXT UNIQUE,         -- NULL when a newer image took it
    record TEXT NOT NULL
) STRICT;

CREATE TABLE vms (
    seq      INTEGER PRIMARY KEY,
    id       TEXT NOT NULL UNIQUE,
    name     TEXT NOT NULL UNIQUE,
    image_id TEXT REFERENCES images (id), -- NULL for a VM without one
    record   TEXT NOT NULL
) STRICT;
CREATE INDEX vms_by_image ON vms (image_id);

CREATE TABLE sessions (
    seq             INTEGER PRIMARY KEY,
    id              TEXT NOT NULL UNIQUE,
    vm_id           TEXT NOT NULL REFERENCES vms (id),
    name            TEXT NOT NULL,
    idempotency_key TEXT, -- NULL if none was given
    record          TEXT NOT NULL,
    UNIQUE (vm_id, name),
    UNIQUE (vm_id, idempotency_key)
) STRICT;

-- The newest event is never pruned, so its revision is the installation's.
CREATE TABLE events (
    revision INTEGER PRIMARY KEY,
    time     INTEGER NOT NULL, -- nanoseconds since 1970, UTC
    kind     TEXT NOT NULL,
    record   TEXT NOT NULL
) STRICT;

-- One row: the bytes of all records in events, so that pruning need not count.
CREATE TABLE event_bytes (
    total INTEGER NOT NULL
) STRICT;
INSERT INTO event_bytes VALUES (0);
