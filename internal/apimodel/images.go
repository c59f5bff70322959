package apimodel

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Image is the state of what an operation changes, as a read answered it. Data
// is JSON-plain (maps, lists, strings, float64, bool), so an image that was
// stored and one that was just read compare alike.
type Image struct {
	// Exists is false when the read answered one of the "absent" errors, or a
	// reply without the thing.
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

// ImageSpec tells, for one call of a changing operation, which read shows what
// it changes, what that will look like afterwards, and which calls bring it back.
type ImageSpec struct {
	Service   string
	Operation string
	row       *aspect
	op        operation
	call      Call
}

// CheckImages reports whether the embedded table is sound.
func CheckImages() error { return images().err }

// ImageOf gives the row of a call of a changing operation. A call without a row
// is irreversible: its operation is not in the table, or not with these members.
func ImageOf(c Call) (ImageSpec, bool) {
	for _, s := range images().changes[imageKey(c.Service, c.Operation)] {
		s.call = c
		if s.applies() {
			return s, true
		}
	}
	return ImageSpec{}, false
}

func (s ImageSpec) applies() bool {
	for _, m := range s.row.Identity {
		if v, ok := s.call.Input[m]; !ok || v == nil || v == "" {
			return false
		}
	}
	return s.template(nil).hold(s.op.If, s.call.Input)
}

// IsImageRead reports whether a read shows the before-image of some row.
func IsImageRead(service, operation string) bool {
	return len(images().reads[imageKey(service, operation)]) > 0
}

// ReadResource names what a read shows for people; "" where its input does not
// tell that alone.
func ReadResource(c Call) string {
	rows := images().reads[imageKey(c.Service, c.Operation)]
	if len(rows) != 1 || rows[0].row.Read.Input != nil {
		return ""
	}
	s := rows[0]
	s.call = c
	if !s.applies() {
		return ""
	}
	return s.Resource()
}

// ImageOperations lists the changing operations in the table as
// "s3:PutBucketPolicy", sorted.
func ImageOperations() []string {
	var out []string
	for _, list := range images().changes {
		out = append(out, list[0].Service+":"+list[0].Operation)
	}
	slices.Sort(out)
	return out
}

// Aspect names what is changed: "bucket policy".
func (s ImageSpec) Aspect() string { return s.row.Aspect }

// Restores says what the inverse brings back.
func (s ImageSpec) Restores() string { return s.row.Restores }

// Composed reports whether img is put together of what several people write, a policy
// document or a list that operations write whole: one that does so drops what somebody
// added in between.
func (s ImageSpec) Composed(img Image) bool {
	return len(s.row.Documents)+len(s.row.Sets) > 0 || s.row.Set == nil && holdsList(img.Data)
}

func holdsList(v any) bool {
	switch v := v.(type) {
	case []any:
		return true
	case map[string]any:
		for _, member := range v {
			if holdsList(member) {
				return true
			}
		}
	}
	return false
}

// NotRestored says what the inverse cannot bring back; "" when it brings back all.
func (s ImageSpec) NotRestored() string { return s.row.NotRestored }

// ReadOperation names the read that captures the before-image.
func (s ImageSpec) ReadOperation() string { return s.row.Read.Operation }

// Identity lists the input members that name the resource.
func (s ImageSpec) Identity() []string { return slices.Clone(s.row.Identity) }

// Key identifies the thing that the call changes: two calls with one key see
// the same image. The region counts only where the resource lives in one.
func (s ImageSpec) Key() string {
	return keyText(s.row.Aspect, ReadKey(s.ReadCall()))
}

// ReadKey identifies what a read shows: two reads with one key show the same.
func ReadKey(c Call) string {
	in := maps.Clone(c.Input)
	region := c.Region
	if rows := images().reads[imageKey(c.Service, c.Operation)]; len(rows) > 0 {
		for _, m := range rows[0].row.Carry {
			delete(in, m)
		}
		if !strings.Contains(rows[0].row.ARN, "{region}") {
			region = ""
		}
	}
	return keyText(strings.ToLower(c.Service), c.Operation, c.Account, region, in)
}

func keyText(parts ...any) string {
	raw, err := json.Marshal(parts)
	if err != nil {
		return fmt.Sprint(parts...) // a stream in an input: no two are alike
	}
	return string(raw)
}

// ARN names the resource of the call.
func (s ImageSpec) ARN() string {
	for _, m := range s.row.Identity {
		if v, ok := s.call.Input[m].(string); ok && strings.HasPrefix(v, "arn:") {
			return v
		}
	}
	out := strings.NewReplacer("{partition}", Partition(s.call.Region), "{region}", s.call.Region, "{account}", s.call.Account).Replace(s.row.ARN)
	for _, m := range s.row.Identity {
		v := printedName(s.call.Input[m])
		out = strings.NewReplacer("{"+m+"}", v, "{"+m+".last}", v[strings.LastIndexAny(v, "/:")+1:]).Replace(out)
	}
	return out
}

// printedName prints the value of an identity member; a list as its elements.
func printedName(v any) string {
	list := listOf(v)
	if len(list) == 0 {
		return fmt.Sprint(v)
	}
	names := make([]string, len(list))
	for i, x := range list {
		names[i] = fmt.Sprint(x)
	}
	return strings.Join(names, ",")
}

// Resource names what the call changes for people: "arn:aws:s3:::bucket (bucket policy)".
func (s ImageSpec) Resource() string { return s.ARN() + " (" + s.row.Aspect + ")" }

// ReadCall gives the read that captures the image of what the call changes.
func (s ImageSpec) ReadCall() Call {
	in := s.named()
	if s.row.Read.Input != nil {
		v, _ := s.template(nil).expand(s.row.Read.Input)
		in, _ = v.(map[string]any)
	}
	return Call{Service: s.row.service, Operation: s.row.Read.Operation, Account: s.call.Account, Region: s.call.Region, Input: in}
}

// named picks the members that name the resource.
func (s ImageSpec) named() map[string]any {
	in := map[string]any{}
	for _, m := range slices.Concat(s.row.Identity, s.row.Carry) {
		if v, ok := s.call.Input[m]; ok {
			in[m] = v
		}
	}
	return in
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
