package ssm

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/service"
)

// maxToken bounds a token in bytes.
const maxToken = 32 << 10

// token makes a NextToken of a list's cursor. It is bound to the operation, the
// caller's scope and the query without its paging, so that a token leads on in
// the list that it came from and nowhere else. What a page holds is decided anew
// by the scope at every call: a token gives no right.
func token(c Caller, operation string, query any, cursor string) string {
	if cursor == "" {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString([]byte(binding(c, operation, query) + cursor))
}

// bindingSize is the length of what stands before the cursor.
const bindingSize = 32

func binding(c Caller, operation string, query any) string {
	raw, err := json.Marshal([]any{operation, auth.Scope(c.Principal), query})
	if err != nil {
		return strings.Repeat("0", bindingSize) // A query came from JSON, so it encodes.
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:bindingSize/2])
}

// cursor gives the cursor of a token of this list, "" for none.
func cursor(c Caller, operation string, query any, text string) (string, error) {
	if text == "" {
		return "", nil
	}
	if len(text) <= maxToken {
		raw, err := base64.RawURLEncoding.DecodeString(text)
		if err == nil && len(raw) > bindingSize && string(raw[:bindingSize]) == binding(c, operation, query) {
			return string(raw[bindingSize:]), nil
		}
	}
	return "", badToken()
}

func badToken() error {
	return refuse("InvalidNextToken", "The specified token isn't valid for this request. Start again without NextToken.")
}

// pageSize is MaxResults, or its default.
func pageSize(n *int) int {
	if n == nil {
		return 50
	}
	return *n
}

// timestamp is a time as AWS JSON 1.1 has it: seconds since 1970.
type timestamp time.Time

// MarshalJSON writes seconds with milliseconds.
func (t timestamp) MarshalJSON() ([]byte, error) {
	ms := time.Time(t).UnixMilli()
	return fmt.Appendf(nil, "%d.%03d", ms/1000, ms%1000), nil
}

// IsZero leaves out a time that was not.
func (t timestamp) IsZero() bool { return time.Time(t).IsZero() }

// DerivedUUID gives the UUID that stands for parts (version 8), always the same.
func DerivedUUID(parts ...string) string {
	return service.UUID(sha256.Sum256([]byte(strings.Join(parts, "\x00"))))
}
