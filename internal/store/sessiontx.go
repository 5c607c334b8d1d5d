package store

import (
	"bytes"
	"encoding/json"
	"strings"

	"banger"
	"banger/internal/records"
)

// The queries of one session, in short.
const (
	selectByID  = "SELECT record FROM sessions WHERE vm_id = ? AND id = ?"
	selectByKey = "SELECT record FROM sessions WHERE vm_id = ? AND idempotency_key = nullif(?, '')"
)

// sessionTx is a change of sessions.
type sessionTx struct{ *tx }

// get returns one in short.
func (t sessionTx) get(key banger.SessionKey) (banger.Session, error) {
	sessions, err := collect(t.ctx, t, decodeSession, selectByID, string(key.VM), string(key.Session))
	return one(sessions, err, "session", string(key.Session))
}

// yieldKey takes the idempotency key from a session, and its name if that is wanted.
func (t sessionTx) yieldKey(holder banger.Session, wanted string) error {
	if err := t.exec("UPDATE sessions SET idempotency_key = NULL WHERE vm_id = ? AND id = ?", string(holder.VMID), string(holder.ID)); err != nil || holder.Name != wanted {
		return err
	}
	suffix := "-" + string(holder.ID[:6])
	holder.Name = strings.ToValidUTF8(holder.Name[:min(len(holder.Name), banger.MaxNameBytes-len(suffix))], "") + suffix
	_, err := t.put(holder, true)
	return err
}

func (t sessionTx) insert(x banger.Session, idempotencyKey string) (banger.Session, error) {
	if err := t.checkName(x); err != nil {
		return x, err
	}
	if x.CreatedAt.IsZero() {
		x.CreatedAt = t.now
	}
	x.UpdatedAt, x.Revision = t.now, t.next()
	launch, err := json.Marshal(x.Launch)
	if err != nil {
		return x, err
	}
	short := records.Short(x)
	record, err := json.Marshal(short)
	if err != nil {
		return x, err
	}
	if err := t.exec("INSERT INTO sessions (id, vm_id, name, idempotency_key, record) VALUES (?, ?, ?, nullif(?, ''), ?)",
		string(x.ID), string(x.VMID), x.Name, idempotencyKey, string(record)); err != nil {
		return x, err
	}
	var seq int64
	if err := t.queryRow("SELECT seq FROM sessions WHERE vm_id = ? AND id = ?", string(x.VMID), string(x.ID)).Scan(&seq); err != nil {
		return x, err
	}
	if err := t.exec("INSERT INTO launches (session, launch) VALUES (?, ?)", seq, string(launch)); err != nil {
		return x, err
	}
	if short, err = t.tell(banger.EventSessionCreated, short, record, seq); err != nil {
		return x, err
	}
	return withLaunch(short, launch)
}

// tell emits the event of a session, whose document is record and has been written,
// and returns the session as a reader will see it. seq is that of a new one.
func (t sessionTx) tell(kind banger.EventKind, x banger.Session, record []byte, seq int64) (banger.Session, error) {
	x, err := asRead(x, record)
	if err != nil {
		return x, err
	}
	c := listChange{key: x.Key()}
	if kind != banger.EventSessionDeleted {
		c.entry = sessionEntry{seq: seq, session: &x, bytes: len(record)}
	}
	t.sessions = append(t.sessions, c)
	return x, t.emitEvent(banger.Event{Revision: t.next(), Time: t.now, Kind: kind, Session: &x}, record)
}

// restore gives way where a session that is known has the name or the key.
func (t sessionTx) restore(f records.FoundSession) error {
	vm, err := vmTx(t).get(f.VMID)
	if err != nil {
		return err
	}
	f.Epoch = vm.Epoch
	if vm.ParentEpoch != "" { // nobody knows where the epochs parted in it, if they did: at its beginning is safe
		if err := epochTx(t).insertParting(vm.Epoch, banger.Session{ID: f.ID}); err != nil {
			return err
		}
	}
	taken, err := t.exists("SELECT 1 FROM sessions WHERE vm_id = ? AND name = ?", string(f.VMID), f.Name)
	if err != nil {
		return err
	}
	if taken {
		f.Name = records.UnlikeName(f.Session)
	}
	if taken, err = t.exists("SELECT 1 FROM sessions WHERE vm_id = ? AND idempotency_key = ?", string(f.VMID), f.IdempotencyKey); err != nil {
		return err
	}
	if taken {
		f.IdempotencyKey = ""
	}
	_, err = t.insert(f.Session, f.IdempotencyKey)
	return err
}

// changeShared carries out a change of a record that does not write into what the record
// refers to.
func (t sessionTx) changeShared(before banger.Session, change func(*banger.Session) error) error {
	x := before
	if err := change(&x); err != nil {
		return err
	}
	if err := checkChange(before, &x); err != nil {
		return err
	}
	differs := x.Status != before.Status || x.Sequence != before.Sequence
	if !differs {
		var err error
		if differs, err = changed(before, x); err != nil {
			return err
		}
	}
	if !differs {
		return nil
	}
	_, err := t.put(x, x.Name != before.Name)
	return err
}

// change carries out one change of a record and returns what it has become. before
// must be nobody else's: change may write into its maps.
func (t sessionTx) change(before banger.Session, change func(*banger.Session) error) (banger.Session, error) {
	x := before
	document, err := json.Marshal(before)
	if err != nil {
		return x, err
	}
	if err := change(&x); err != nil {
		return x, err
	}
	if err := checkChange(before, &x); err != nil {
		return x, err
	}
	after, err := json.Marshal(x)
	if err != nil || bytes.Equal(document, after) {
		return x, err
	}
	return t.put(x, x.Name != before.Name)
}

// checkChange refuses a change that no record can have, and takes back what only the store
// changes.
func checkChange(before banger.Session, x *banger.Session) error {
	if err := records.CheckTransition(before.SessionState, x.SessionState); err != nil {
		return err
	}
	if x.ID != before.ID || x.VMID != before.VMID {
		return banger.Errorf(banger.CodeInternal, "cannot change session %s: its id became %s of VM %s", before.ID, x.ID, x.VMID)
	}
	x.UpdatedAt, x.Revision, x.Epoch = before.UpdatedAt, before.Revision, before.Epoch
	return nil
}

// put replaces a record that has changed and returns it as a reader will
// see it.
func (t sessionTx) put(x banger.Session, renamed bool) (banger.Session, error) {
	if renamed {
		if err := t.checkName(x); err != nil {
			return x, err
		}
	}
	x.UpdatedAt, x.Revision = t.now, t.next()
	record, err := json.Marshal(x)
	if err != nil {
		return x, err
	}
	if err := t.exec("UPDATE sessions SET name = ?, record = ? WHERE vm_id = ? AND id = ?", x.Name, string(record), string(x.VMID), string(x.ID)); err != nil {
		return x, err
	}
	return t.tell(banger.EventSessionChanged, x, record, 0)
}

// replace gives a session another record, whatever its own says.
func (t sessionTx) replace(f records.FoundSession) error {
	x := f.Session
	if x.CreatedAt.IsZero() {
		x.CreatedAt = t.now
	}
	x.UpdatedAt, x.Revision = t.now, t.next()
	launch, err := json.Marshal(x.Launch)
	if err != nil {
		return err
	}
	short := records.Short(x)
	record, err := json.Marshal(short)
	if err != nil {
		return err
	}
	if err := t.exec("UPDATE sessions SET name = ?, idempotency_key = nullif(?, ''), record = ? WHERE vm_id = ? AND id = ?",
		x.Name, f.IdempotencyKey, string(record), string(x.VMID), string(x.ID)); err != nil {
		return err
	}
	if err := t.exec("UPDATE launches SET launch = ? WHERE session = (SELECT seq FROM sessions WHERE vm_id = ? AND id = ?)",
		string(launch), string(x.VMID), string(x.ID)); err != nil {
		return err
	}
	_, err = t.tell(banger.EventSessionChanged, short, record, 0)
	return err
}

// delete deletes a session with its launch.
func (t sessionTx) delete(x banger.Session) error {
	if err := t.exec("DELETE FROM sessions WHERE vm_id = ? AND id = ?", string(x.VMID), string(x.ID)); err != nil {
		return err
	}
	t.forgets = t.forgets || len(x.EnvNames) > 0
	x.Revision = t.next()
	record, err := json.Marshal(x)
	if err != nil {
		return err
	}
	_, err = t.tell(banger.EventSessionDeleted, x, record, 0)
	return err
}

func (t sessionTx) checkName(x banger.Session) error {
	taken, err := t.exists("SELECT 1 FROM sessions WHERE vm_id = ? AND name = ? AND id <> ?", string(x.VMID), x.Name, string(x.ID))
	if err == nil && taken {
		err = banger.Errorf(banger.CodeExists, "cannot name session %q: its VM has one of that name", x.Name).
			WithHint("choose another name, or delete that one with: banger session rm")
	}
	return err
}
