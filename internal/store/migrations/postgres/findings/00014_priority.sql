-- +goose Up

-- How urgent a finding is, until when it should be dealt with (0: no deadline),
-- whether that has passed, and whether the finding is itself of an active threat.
-- Findings that are there rank by their severity until they are reported again.
ALTER TABLE finding ADD COLUMN priority BIGINT NOT NULL DEFAULT 0;
ALTER TABLE finding ADD COLUMN due_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE finding ADD COLUMN overdue BIGINT NOT NULL DEFAULT 0;
ALTER TABLE finding ADD COLUMN threat BIGINT NOT NULL DEFAULT 0;
UPDATE finding SET priority = severity_normalized
WHERE record_state = 'ACTIVE' AND workflow IN ('NEW', 'NOTIFIED') AND compliance <> 'PASSED';
CREATE INDEX finding_priority ON finding (priority, updated_at, rid);
CREATE INDEX finding_due      ON finding (due_at, rid) WHERE overdue = 0 AND due_at > 0;
CREATE INDEX finding_threat   ON finding (resource_id) WHERE threat = 1;
