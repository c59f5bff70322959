package finding

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// GroupKey is the same for all findings that report one control on one
// resource: one for each standard that has the control, and, for a resource
// that belongs to no region, one for each region that looked at it. It is ""
// for a finding that is no control's or names no resource; such a one stands
// alone.
//
// Copies of one finding that come by a member account, the administrator and
// an aggregation region need no group: they have one identity.
func GroupKey(account, region, control, resource string) string {
	if account == "" || control == "" || resource == "" {
		return ""
	}
	if strings.HasPrefix(resource, "arn:") {
		region = "" // The ARN says where the resource is.
	}
	sum := sha256.Sum256([]byte(account + "\x00" + region + "\x00" + strings.ToLower(control) + "\x00" + resource))
	return base64.RawURLEncoding.EncodeToString(sum[:16])
}

// GroupRank orders the findings of a group; the least is its main one. One that
// its provider still observes comes before an archived one, then the control
// itself before a standard's copy of it, then AWS's own best practices.
func GroupRank(generator string, state RecordState) int64 {
	var rank int64 = 2
	switch {
	case strings.Contains(generator, "security-control/"):
		rank = 0
	case strings.Contains(generator, "aws-foundational-security-best-practices/"):
		rank = 1
	}
	if state == Archived {
		rank += 10
	}
	return rank
}
