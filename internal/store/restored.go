package store

import "time"

// ActionRestored is what the audit log calls the restore of a backup.
const ActionRestored = "database.restored"

// StateRestored is the name under which a restored database keeps a RestoredAt, among
// the states of sources.
const StateRestored = "parry/restored"

// RestoredAt says when this database was made from a backup, and of when that is.
type RestoredAt struct {
	At     time.Time `json:"at"`
	MadeAt time.Time `json:"made_at"`
}
