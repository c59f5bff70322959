package finding

import (
	"cmp"
	"encoding/base64"
	"strings"
)

// ID is a finding's identity: Id and ProductArn together (spec/securityhub.md
// section 10, rule 1). Id alone is not unique.
type ID struct {
	ProductArn string `json:"ProductArn"`
	Id         string `json:"Id"` //nolint:revive // AWS spells it so.
}

// String gives the form in which Parry prints and stores the identity and in
// which EventBridge names the finding: "<ProductArn>/<Id>".
func (id ID) String() string { return id.ProductArn + "/" + id.Id }

// Compare orders identities by product, then by Id. Batches are sorted by it, so it makes no
// text of them.
func (id ID) Compare(other ID) int {
	return cmp.Or(strings.Compare(id.ProductArn, other.ProductArn), strings.Compare(id.Id, other.Id))
}

// IsZero reports whether id names no finding.
func (id ID) IsZero() bool { return id == ID{} }

// Key gives the identity as letters, digits, "-" and "_" only: base64url of the
// product ARN, a zero byte and the Id. It is safe in a path and on a command
// line, which the Id, being a provider's text, is not.
func (id ID) Key() string {
	return base64.RawURLEncoding.EncodeToString([]byte(id.ProductArn + "\x00" + id.Id))
}

// ParseKey reads what Key wrote.
func ParseKey(key string) (ID, bool) {
	raw, err := base64.RawURLEncoding.DecodeString(key)
	if err != nil {
		return ID{}, false
	}
	arn, id, ok := strings.Cut(string(raw), "\x00")
	return ID{ProductArn: arn, Id: id}, ok && arn != "" && id != ""
}
