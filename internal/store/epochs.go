package store

import (
	"context"
	"database/sql"
	"errors"

	"banger"
	"banger/internal/lineage"
	"banger/internal/records"
)

// maxEpochs bounds a tree: beyond it, the oldest epochs are forgotten that no VM is in or
// comes from. A position in a forgotten one is refused as that of an unknown one.
const maxEpochs = 10_000

// epochTx is a change of the tree of epochs.
type epochTx struct{ *tx }

// insert records the epoch of a VM, unless it is the first of its tree.
func (t epochTx) insert(vm banger.VM) error {
	if vm.ParentEpoch == "" {
		return nil
	}
	root, err := t.rootOf(vm.ParentEpoch)
	if err != nil {
		return err
	}
	err = t.exec("INSERT INTO epochs (id, parent, root, began) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
		string(vm.Epoch), string(vm.ParentEpoch), root, t.now.UnixNano())
	if err != nil {
		return err
	}
	return t.exec(`DELETE FROM epochs WHERE id IN (
		SELECT e.id FROM epochs e WHERE e.root = ?1
			AND NOT EXISTS (SELECT 1 FROM epochs WHERE parent = e.id)
			AND e.id <> ?2 AND NOT EXISTS (SELECT 1 FROM vms WHERE record ->> '$.epoch' = e.id)
		ORDER BY e.began LIMIT max(0, (SELECT count(*) FROM epochs WHERE root = ?1) - ?3))`, root, string(vm.Epoch), maxEpochs)
}

// rootOf returns the first epoch of a tree.
func (t epochTx) rootOf(e banger.Epoch) (root string, err error) {
	err = t.queryRow("SELECT root FROM epochs WHERE id = ?", string(e)).Scan(&root)
	if errors.Is(err, sql.ErrNoRows) {
		return string(e), nil
	}
	return root, err
}

// forgetTree removes the tree of an epoch whose VM has been deleted, if no other VM is in it.
func (t epochTx) forgetTree(e banger.Epoch) error {
	root, err := t.rootOf(e)
	if err != nil {
		return err
	}
	return t.exec(`DELETE FROM epochs WHERE root = ?1 AND NOT EXISTS (
		SELECT 1 FROM vms v LEFT JOIN epochs e ON e.id = coalesce(v.record ->> '$.epoch', v.id)
			WHERE coalesce(e.root, v.record ->> '$.epoch', v.id) = ?1)`, root)
}

// insertParting records that an epoch has parted from its parent where a session stands.
func (t epochTx) insertParting(e banger.Epoch, x banger.Session) error {
	return t.exec("INSERT INTO partings (epoch, session_id, stdout, stderr, stdin) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
		string(e), string(x.ID), x.StdoutBytes, x.StderrBytes, x.StdinOffset)
}

// BeginEpoch implements machine.Store.
func (s *VMs) BeginEpoch(ctx context.Context, vm banger.VM, sessions []records.FoundSession) (banger.VM, error) {
	if vm.ParentEpoch == "" || vm.ParentEpoch == vm.Epoch {
		return banger.VM{}, banger.Errorf(banger.CodeInternal, "cannot begin an epoch of VM %s: it has no other epoch to come from", vm.ID)
	}
	err := s.writer.write(ctx, "begin an epoch of VM "+string(vm.ID), func(begun *tx) (err error) {
		t := epochTx{begun}
		firstEpoch(&vm)
		known, err := t.exists("SELECT 1 FROM epochs WHERE id = ?", string(vm.Epoch))
		if err == nil && known {
			err = banger.Errorf(banger.CodeExists, "cannot begin epoch %s: it has begun already", vm.Epoch)
		}
		if err != nil {
			return err
		}
		before, err := vmTx(t).get(vm.ID)
		switch {
		case banger.CodeOf(err) == banger.CodeNotFound:
			vm, err = vmTx(t).insert(vm)
		case err == nil:
			before.Epoch, before.ParentEpoch = vm.Epoch, vm.ParentEpoch
			vm, err = t.setBack(before, sessions)
		}
		if err != nil {
			return err
		}
		return t.partSessions(vm, sessions)
	})
	return result(vm, err)
}

// setBack moves a VM to another epoch and removes those of its sessions that are not in it.
// The others lose their names and keys: they get them again with their states.
func (t epochTx) setBack(vm banger.VM, sessions []records.FoundSession) (banger.VM, error) {
	if err := t.insert(vm); err != nil {
		return vm, err
	}
	stays := make(map[banger.SessionID]bool, len(sessions))
	for _, f := range sessions {
		stays[f.ID] = true
	}
	all, err := collect(t.ctx, t, decodeSession, "SELECT record FROM sessions WHERE vm_id = ? ORDER BY seq", string(vm.ID))
	if err != nil {
		return vm, err
	}
	for _, x := range all {
		if stays[x.ID] {
			continue
		}
		if err := sessionTx(t).delete(x); err != nil {
			return vm, err
		}
	}
	if err := t.exec("UPDATE sessions SET name = char(1) || id, idempotency_key = NULL WHERE vm_id = ?", string(vm.ID)); err != nil {
		return vm, err
	}
	vm.UpdatedAt, vm.Revision = t.now, t.next()
	if vm, err = vmTx(t).put(vm); err != nil {
		return vm, err
	}
	return vm, t.emitRecord(banger.EventVMChanged, vm)
}

// partSessions gives a VM whose epoch has just begun the sessions of that, as they are where
// it has parted from its parent.
func (t epochTx) partSessions(vm banger.VM, sessions []records.FoundSession) error {
	for _, f := range sessions {
		f.VMID, f.Epoch = vm.ID, vm.Epoch
		if err := t.insertParting(vm.Epoch, f.Session); err != nil {
			return err
		}
		known, err := t.exists(selectByID, string(vm.ID), string(f.ID))
		if err == nil && known {
			err = sessionTx(t).replace(f)
		} else if err == nil {
			_, err = sessionTx(t).insert(f.Session, f.IdempotencyKey)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Lineage implements session.Store.
func (s *Sessions) Lineage(ctx context.Context, key banger.SessionKey, of banger.Epoch) (own, other lineage.Line, err error) {
	vm, err := readVM(ctx, s.reader, key.VM)
	if err != nil {
		return nil, nil, err
	}
	leave, err := s.reader.enter()
	if err != nil {
		return nil, nil, err
	}
	defer leave()
	if own, err = readLine(ctx, s.reader.db, vm.Epoch, key.Session); err != nil {
		return nil, nil, s.reader.explain(ctx, "read epochs", err)
	}
	if of == "" {
		return own, own.Birth(), nil
	}
	other, err = readLine(ctx, s.reader.db, of, key.Session)
	return own, other, s.reader.explain(ctx, "read epochs", err)
}

// selectLine selects an epoch and those that it comes from, the first of them first. It ends
// where damaged records make a ring of epochs.
const selectLine = `WITH RECURSIVE line (id, depth) AS (
		SELECT ?1, 0 UNION ALL SELECT e.parent, line.depth + 1 FROM line JOIN epochs e ON e.id = line.id WHERE line.depth < ?3
	) SELECT line.id, p.stdout, p.stderr, p.stdin
	FROM line LEFT JOIN partings p ON p.epoch = line.id AND p.session_id = ?2 ORDER BY line.depth DESC`

// readLine returns the way to an epoch; that of one that is not known has only itself.
func readLine(ctx context.Context, q querier, e banger.Epoch, id banger.SessionID) (line lineage.Line, err error) {
	rows, err := q.QueryContext(ctx, selectLine, string(e), string(id), maxEpochs)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var step lineage.Step
		var stdout, stderr, stdin sql.NullInt64
		if err := rows.Scan(&step.Epoch, &stdout, &stderr, &stdin); err != nil {
			return nil, err
		}
		if stdout.Valid {
			step.Began = &lineage.Point{Stdout: stdout.Int64, Stderr: stderr.Int64, Stdin: stdin.Int64}
		}
		line = append(line, step)
	}
	return line, rows.Err()
}
