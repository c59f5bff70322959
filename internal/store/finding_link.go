package store

import (
	"context"

	"github.com/parry-security/parry/internal/finding"
)

// link is what a finding's group follows from.
type link struct {
	kind                kind
	resource, generator string
}

// link gives what f's group follows from, with the texts as stored.
func (f FindingRecord) link() link {
	return link{f.kind(), text(f.ResourceID, wideColumn), text(f.Generator, wideColumn)}
}

func (l link) key() string {
	return finding.GroupKey(l.kind.account, l.kind.region, l.kind.control, l.resource)
}

func (l link) row(rid int64) []any {
	return []any{rid, l.kind.account, l.key(), finding.GroupRank(l.generator, finding.RecordState(l.kind.recordState))}
}

// maxLinked bounds a group: the standards that AWS has, in the regions it has.
const maxLinked = 500

// LinkedFindings gives the findings that report the same control on the same
// resource as id, itself among them, the main one first. A finding that stands
// alone, or is not there, has none.
func (s *Store) LinkedFindings(ctx context.Context, id finding.ID) ([]finding.ID, error) {
	out, err := collect(ctx, s.findings.Read, s.q.LinkList, []any{findingKey(id), int64(maxLinked)}, func(r scanner) (finding.ID, error) {
		var id finding.ID
		err := r.Scan(&id.ProductArn, &id.Id)
		return id, err
	})
	return out, s.fail("list linked findings", err)
}

// mainOnly leaves out a finding that another of its group stands for.
const mainOnly = `NOT EXISTS (SELECT 1 FROM finding_link l JOIN finding_link m ON m.key = l.key
    WHERE l.rid = f.rid AND l.key <> '' AND (m.rank < l.rank OR m.rank = l.rank AND m.rid < l.rid))`
