-- What a session was started with lies apart from its record, which changes often and is
-- in each event of it (docs/decisions/0018). Documents move in the next migration.

-- +goose Up
CREATE TABLE launches (
    session_id TEXT PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    launch     TEXT NOT NULL -- a JSON document, too
) STRICT, WITHOUT ROWID;

-- A list of one VM's sessions is in the order of seq, which each entry ends with.
CREATE INDEX sessions_by_vm ON sessions (vm_id);
