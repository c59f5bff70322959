package store

import (
	"context"

	"github.com/parry-security/parry/internal/fault"
)

// keyCheck names the row that only the installation's data key opens.
const keyCheck = "data-key"

// CheckKey refuses a data key that is not the one by which the database is sealed: a node
// that had another would start, and fail at the first secret. The first to ask leaves
// the mark.
func (s *Store) CheckKey(ctx context.Context) error {
	const op = "check the data key"
	for range 2 { // what was left is read again: two nodes may be the first
		var mark struct {
			Sealed []byte `json:"sealed"`
		}
		if err := s.SourceState(ctx, keyCheck, &mark); err != nil {
			return err
		}
		if mark.Sealed != nil {
			if _, err := s.sealer.Open(mark.Sealed, []byte(keyCheck)); err != nil {
				return fault.Errorf(fault.Conflict, op, "the database was sealed with another data key: %w", err).
					WithHint("put data.key back into data_dir: from where you keep a copy of it, or from another node of this database")
			}
			return nil
		}
		var err error
		if mark.Sealed, err = s.sealer.Seal([]byte(keyCheck), []byte(keyCheck)); err != nil {
			return s.fail(op, err)
		}
		if err := s.PutSourceState(ctx, keyCheck, mark); err != nil {
			return err
		}
	}
	return nil
}
