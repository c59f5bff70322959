package events

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/route"
)

// paged are the members that lists have in common.
type paged struct {
	NamePrefix string
	NextToken  string
	Limit      int
}

// bindingSize is how much of a digest of the question stands before a token's name.
const bindingSize = 16

// paging reads a request's. A token leads on in the list that it came from and nowhere
// else: it is bound to question, which names the operation and what it asks for.
func (p paged) paging(question ...string) (route.Paging, error) {
	out := route.Paging{Prefix: p.NamePrefix, Limit: p.Limit}
	if p.NextToken == "" {
		return out, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(p.NextToken)
	if err != nil || len(raw) <= bindingSize || string(raw[:bindingSize]) != p.binding(question) {
		return out, invalid("Parameter NextToken is not valid. Start again without it.")
	}
	out.After = string(raw[bindingSize:])
	return out, nil
}

func (p paged) binding(question []string) string {
	sum := sha256.Sum256([]byte(strings.Join(append(question, p.NamePrefix), "\x00")))
	return hex.EncodeToString(sum[:])[:bindingSize]
}

// token makes a NextToken of the name behind which the next page begins.
func (p paged) token(next string, question ...string) string {
	if next == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte(p.binding(question) + next))
}

// timestamp is a time as AWS JSON 1.1 has it: seconds since 1970.
type timestamp time.Time

// MarshalJSON writes seconds with milliseconds.
func (t timestamp) MarshalJSON() ([]byte, error) {
	ms := time.Time(t).UnixMilli()
	return fmt.Appendf(nil, "%d.%03d", ms/1000, ms%1000), nil
}

// UnmarshalJSON reads seconds, which the model's check has bounded.
func (t *timestamp) UnmarshalJSON(raw []byte) error {
	var seconds float64
	if err := json.Unmarshal(raw, &seconds); err != nil {
		return err
	}
	*t = timestamp(time.UnixMilli(int64(seconds * 1000)).UTC())
	return nil
}

// IsZero leaves out a time that was not.
func (t timestamp) IsZero() bool { return time.Time(t).IsZero() }
