package store

import (
	"context"
	"database/sql"
	"encoding/json"

	"banger"
)

// querier is a pool or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// collect returns the records of a query whose rows are one document each.
func collect[R any](ctx context.Context, q querier, decode func([]byte) (R, error), query string, args ...any) ([]R, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var records []R
	for rows.Next() {
		var document sql.RawBytes
		if err := rows.Scan(&document); err != nil {
			return nil, err
		}
		record, err := decode(document)
		if err != nil {
			return nil, err
		}
		records = append(records, record)
	}
	return records, rows.Err()
}

// one returns the only record of a lookup by id.
func one[R any](records []R, err error, kind, id string) (R, error) {
	var none R
	if err != nil {
		return none, err
	}
	if len(records) == 0 {
		return none, banger.Errorf(banger.CodeNotFound, "cannot find %s %s: no such %s", kind, id, kind)
	}
	return records[0], nil
}

// result is the record of a change that was made, or the zero one.
func result[R any](record R, err error) (R, error) {
	if err != nil {
		var none R
		return none, err
	}
	return record, nil
}

// decodeSession decodes a session. One of before there were epochs is of its VM's first.
func decodeSession(document []byte) (banger.Session, error) {
	x, err := decode[banger.Session](document)
	if x.Epoch == "" {
		x.Epoch = banger.Epoch(x.VMID)
	}
	return x, err
}

func decode[R any](document []byte) (R, error) {
	var record R
	if err := json.Unmarshal(document, &record); err != nil {
		return record, banger.Errorf(banger.CodeCorrupt, "cannot read a record of the store: %w", err)
	}
	return record, nil
}
