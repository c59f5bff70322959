package store

import (
	"context"

	"github.com/parry-security/parry/internal/finding"
)

// grouped says that findings f and m report one control on one resource: one for each
// standard that has the control, and, for a resource whose ARN says where it is, one for
// each region that looked at it. A finding that is no control's or names no resource
// stands alone. The index of resources answers it.
//
// Copies of one finding that come by a member account, the administrator and an
// aggregation region need no group: they have one identity.
const grouped = `f.control <> '' AND f.resource_id <> '' AND m.resource_id = f.resource_id AND lower(m.control) = lower(f.control)
    AND m.account = f.account AND (m.region = f.region OR substr(f.resource_id, 1, 4) = 'arn:')`

// groupRank orders the findings of a group; the least is its main one. One that its
// provider still observes comes before an archived one, then the control itself before
// a standard's copy of it, then AWS's own best practices. It is of the finding that
// name stands for.
func groupRank(name string) string {
	has := func(part string) string {
		return "replace(" + name + ".generator, '" + part + "', '') <> " + name + ".generator"
	}
	return "(CASE WHEN " + has("security-control/") + " THEN 0 WHEN " + has("aws-foundational-security-best-practices/") + " THEN 1 ELSE 2 END" +
		" + CASE WHEN " + name + ".record_state = '" + string(finding.Archived) + "' THEN 10 ELSE 0 END)"
}

// maxLinked bounds a group: the standards that AWS has, in the regions it has.
const maxLinked = 500

// LinkedFindings gives the findings that report the same control on the same
// resource as id, itself among them, the main one first. A finding that stands
// alone, or is not there, has none.
func (s *Store) LinkedFindings(ctx context.Context, id finding.ID) ([]finding.ID, error) {
	query := `SELECT m.product_arn, m.id FROM finding_identity i JOIN finding f ON f.rid = i.rid JOIN finding m ON ` + grouped +
		` WHERE i.key = $1 ORDER BY ` + groupRank("m") + `, m.rid LIMIT $2`
	out, err := collect(ctx, s.findings.Read, query, []any{findingKey(id), int64(maxLinked)}, func(r scanner) (finding.ID, error) {
		var id finding.ID
		err := r.Scan(&id.ProductArn, &id.Id)
		return id, err
	})
	return out, s.fail("list linked findings", err)
}

// mainOnly leaves out a finding that another of its group stands for.
func mainOnly() string {
	return `NOT EXISTS (SELECT 1 FROM finding m WHERE ` + grouped +
		` AND (` + groupRank("m") + ` < ` + groupRank("f") + ` OR ` + groupRank("m") + ` = ` + groupRank("f") + ` AND m.rid < f.rid))`
}
