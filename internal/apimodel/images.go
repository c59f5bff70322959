package apimodel

import (
	_ "embed" // the table is data, not code
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

//go:embed images.json
var imagesJSON []byte

// Image is the state of what an operation changes, as a read answered it. Data
// is JSON-plain (maps, lists, strings, float64, bool), so an image that was
// stored and one that was just read compare alike.
type Image struct {
	// Exists is false when the read answered one of the "absent" errors.
	Exists bool           `json:"exists"`
	Data   map[string]any `json:"data,omitempty"`
}

// MemberChange is one difference between two images. Values are compact JSON
// text; "" means absent.
type MemberChange struct {
	Path   string
	Before string
	After  string
}

// aspect is one row of the table: one thing of a resource that a read shows
// whole and that operations change, such as a bucket's policy.
type aspect struct {
	Service  string   `json:"service"`
	Aspect   string   `json:"aspect"`
	ARN      string   `json:"arn"`      // template over {partition}, {region}, {account} and input members
	Identity []string `json:"identity"` // input members that name the resource, equal in all operations of the row
	Carry    []string `json:"carry"`    // input members handed to the read and the inverse where the call has them
	Read     struct {
		Operation string   `json:"operation"`
		Absent    []string `json:"absent"` // error codes that mean "there is none"
	} `json:"read"`
	Members     []string             `json:"members"`   // reply members that are the image
	Documents   []string             `json:"documents"` // members holding a policy document as text
	Sets        []string             `json:"sets"`      // list members whose order means nothing
	Ignore      []string             `json:"ignore"`    // members that mean nothing
	Defaults    map[string]any       `json:"defaults"`  // what a missing member stands for
	AbsentAs    map[string]any       `json:"absent_as"` // the image that AWS shows instead of "there is none"
	Switches    string               `json:"switches"`  // member whose booleans, when true, refuse other operations
	Changes     map[string]operation `json:"changes"`
	Restore     restore              `json:"restore"`
	Restores    string               `json:"restores"`
	NotRestored string               `json:"not_restored"`
}

type operation struct {
	Expected   []expectation `json:"expected"`
	Opaque     []string      `json:"opaque"`  // input members whose effect the row cannot tell
	Partial    []string      `json:"partial"` // input members whose effect the inverse does not bring back
	Idempotent bool          `json:"idempotent"`
}

type expectation struct {
	When   string         `json:"when"` // input member that must be present
	Is     string         `json:"is"`   // and equal, when not ""
	Absent bool           `json:"absent"`
	Set    map[string]any `json:"set"`
}

type restore struct {
	Present *inverse           `json:"present"`
	Absent  *inverse           `json:"absent"`
	Member  string             `json:"member"` // chooses among Cases by its printed value
	Cases   map[string]inverse `json:"cases"`
}

type inverse struct {
	Operation string         `json:"operation"`
	Input     map[string]any `json:"input"`
}

type imageTable struct {
	changes map[string]ImageSpec // by changing operation
	reads   map[string]ImageSpec // by before-image read
	err     error
}

// images parses the embedded table once. It is never written afterwards.
var images = sync.OnceValue(func() imageTable { return parseImages(imagesJSON) })

// parseImages reads a table. A table that does not parse gives no rows, so that
// every operation counts as irreversible: the error never opens anything.
func parseImages(raw []byte) imageTable {
	t := imageTable{changes: map[string]ImageSpec{}, reads: map[string]ImageSpec{}}
	var rows []aspect
	if err := json.Unmarshal(raw, &rows); err != nil {
		t.err = fmt.Errorf("parse image table: %w", err)
		return t
	}
	for i := range rows {
		row := &rows[i]
		read := imageKey(row.Service, row.Read.Operation)
		if _, twice := t.reads[read]; twice {
			t.err = errors.Join(t.err, fmt.Errorf("image table: %s is the read of two rows", read))
		}
		t.reads[read] = ImageSpec{row: row, Service: row.Service, Operation: row.Read.Operation}
		for name, op := range row.Changes {
			key := imageKey(row.Service, name)
			if _, twice := t.changes[key]; twice {
				t.err = errors.Join(t.err, fmt.Errorf("image table: %s is changed by two rows", key))
			}
			t.changes[key] = ImageSpec{row: row, op: op, Service: row.Service, Operation: name}
		}
	}
	return t
}

// CheckImages reports whether the embedded table is sound.
func CheckImages() error { return images().err }

// imageKey brings boto3's spellings (put_bucket_policy, PutBucketPolicy) and
// the command line's (put-bucket-policy) to one.
func imageKey(service, op string) string {
	return strings.ToLower(service) + ":" + strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(op))
}

// ImageSpec tells, for one changing operation, which read shows what it
// changes, what it will look like afterwards, and which call brings it back.
type ImageSpec struct {
	Service   string
	Operation string
	row       *aspect
	op        operation
}

// ImageOf gives the row of a changing operation. An operation without a row is
// irreversible.
func ImageOf(service, operation string) (ImageSpec, bool) {
	s, ok := images().changes[imageKey(service, operation)]
	return s, ok
}

// ImageOfRead gives the row whose before-image this read is: planning answers
// such a read with the expected image once a change to it was planned.
func ImageOfRead(service, operation string) (ImageSpec, bool) {
	s, ok := images().reads[imageKey(service, operation)]
	return s, ok
}

// ImageOperations lists the changing operations in the table as
// "s3:PutBucketPolicy", sorted.
func ImageOperations() []string {
	var out []string
	for _, s := range images().changes {
		out = append(out, s.Service+":"+s.Operation)
	}
	slices.Sort(out)
	return out
}

// Idempotent reports whether sending the same call twice ends as sending it once.
func (s ImageSpec) Idempotent() bool { return s.op.Idempotent }

// Aspect names what is changed: "bucket policy".
func (s ImageSpec) Aspect() string { return s.row.Aspect }

// Restores says what the inverse brings back.
func (s ImageSpec) Restores() string { return s.row.Restores }

// NotRestored says what the inverse cannot bring back; "" when it brings back all.
func (s ImageSpec) NotRestored() string { return s.row.NotRestored }

// ReadOperation names the read that captures the before-image.
func (s ImageSpec) ReadOperation() string { return s.row.Read.Operation }

// Identity lists the input members that name the resource.
func (s ImageSpec) Identity() []string { return slices.Clone(s.row.Identity) }

// Key identifies the thing that c reads or changes: two calls with one key see
// the same image. The region counts only where the resource lives in one.
func (s ImageSpec) Key(c Call) string {
	parts := []string{s.row.Service, s.row.Read.Operation, c.Account}
	if strings.Contains(s.row.ARN, "{region}") {
		parts = append(parts, c.Region)
	}
	for _, m := range s.row.Identity {
		parts = append(parts, fmt.Sprint(c.Input[m]))
	}
	raw, _ := json.Marshal(parts) // a list of strings always marshals
	return string(raw)
}

// ARN names the resource of c.
func (s ImageSpec) ARN(c Call) string {
	for _, m := range s.row.Identity {
		if v, ok := c.Input[m].(string); ok && strings.HasPrefix(v, "arn:") {
			return v
		}
	}
	out := strings.NewReplacer("{partition}", Partition(c.Region), "{region}", c.Region, "{account}", c.Account).Replace(s.row.ARN)
	for _, m := range s.row.Identity {
		out = strings.ReplaceAll(out, "{"+m+"}", fmt.Sprint(c.Input[m]))
	}
	return out
}

// Resource names what c changes for people: "arn:aws:s3:::bucket (bucket policy)".
func (s ImageSpec) Resource(c Call) string { return s.ARN(c) + " (" + s.row.Aspect + ")" }

// ReadCall gives the read that captures the image of what c changes.
func (s ImageSpec) ReadCall(c Call) Call {
	return Call{Service: s.row.Service, Operation: s.row.Read.Operation, Account: c.Account, Region: c.Region, Input: s.named(c)}
}

// named picks the members that name the resource.
func (s ImageSpec) named(c Call) map[string]any {
	in := map[string]any{}
	for _, m := range slices.Concat(s.row.Identity, s.row.Carry) {
		if v, ok := c.Input[m]; ok {
			in[m] = v
		}
	}
	return in
}

// ImageFrom takes the image from what the read answered. An error that does not
// mean "there is none" is returned as it is.
func (s ImageSpec) ImageFrom(r Reply, err error) (Image, error) {
	if err != nil {
		var api *APIError
		if errors.As(err, &api) && slices.Contains(s.row.Read.Absent, api.Code) {
			return Image{}, nil
		}
		return Image{}, err
	}
	data := map[string]any{}
	for _, m := range s.row.Members {
		v, ok := r.Output[m]
		if !ok || v == nil {
			continue
		}
		flat, err := plain(v)
		if err != nil {
			return Image{}, fmt.Errorf("read %s of %s: %w", m, s.row.Read.Operation, err)
		}
		data[m] = flat
	}
	return Image{Exists: true, Data: data}, nil
}

// Answer is ImageFrom backwards: what the read answers when the resource is as
// img says. Members of base that are not part of the image are kept.
func (s ImageSpec) Answer(img Image, base Reply) (Reply, error) {
	if !img.Exists && len(s.row.Read.Absent) > 0 {
		return Reply{}, &APIError{
			Service: s.row.Service, Operation: s.row.Read.Operation, Code: s.row.Read.Absent[0],
			Message: "The " + s.row.Aspect + " will not exist once the planned change is applied", HTTPStatus: 404,
		}
	}
	out := maps.Clone(base.Output)
	if out == nil {
		out = map[string]any{}
	}
	for _, m := range s.row.Members {
		delete(out, m)
		if v, ok := img.Data[m]; ok {
			flat, err := plain(v)
			if err != nil {
				return Reply{}, err
			}
			out[m] = flat
		}
	}
	return Reply{Output: out}, nil
}

// plain copies v through JSON.
func plain(v any) (any, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var out any
	return out, json.Unmarshal(raw, &out)
}
