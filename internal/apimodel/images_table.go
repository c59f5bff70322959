package apimodel

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"sync"
)

// The table of before-images: images/<service>.json, one list of rows per
// service. images/README.md explains the rows and their template language.
//
//go:embed images/*.json
var imagesFS embed.FS

// aspect is one row of the table: one thing of a resource that a read shows
// whole and that operations change, such as a bucket's policy.
type aspect struct {
	service string // the file's name

	Aspect   string   `json:"aspect"`
	ARN      string   `json:"arn"`      // over {partition}, {region}, {account}, {Member} and {Member.last}
	Identity []string `json:"identity"` // input members that name the resource, alike in all operations of the row
	Carry    []string `json:"carry"`    // input members handed to the read and the inverse where the call has them

	Read imageRead `json:"read"`

	Members   []string       `json:"members"`   // members of what the read selects that are the image
	Documents []string       `json:"documents"` // members holding a policy document as text
	Decoded   []string       `json:"decoded"`   // documents that the read hands out decoded, as boto3 does for IAM
	Sets      []string       `json:"sets"`      // list members whose order means nothing
	Ignore    []string       `json:"ignore"`    // members that mean nothing
	Defaults  map[string]any `json:"defaults"`  // what a missing member stands for
	AbsentAs  map[string]any `json:"absent_as"` // the image that AWS shows instead of "there is none"
	// Pending is a member of what the read selects that holds what members will be:
	// the image is that.
	Pending string `json:"pending"`
	// Endings are texts in which AWS lets members end whether they were given so or not.
	Endings map[string]string `json:"endings"`
	// Moot are members that mean nothing as long as a term does not hold.
	Moot     *moot  `json:"moot"`
	Switches string `json:"switches"` // member whose booleans, when true, refuse other operations

	Set     *imageSet            `json:"set"` // the part that "add" and "remove" change
	Changes map[string]operation `json:"changes"`
	Restore restore              `json:"restore"`

	Restores    string `json:"restores"`
	NotRestored string `json:"not_restored"`
}

type moot struct {
	Unless  string   `json:"unless"` // a term as in operation.If, over the image
	Members []string `json:"members"`
}

// imageRead is the read that shows an aspect.
type imageRead struct {
	Operation string         `json:"operation"`
	Input     map[string]any `json:"input"`  // template; nil = identity and carry
	Select    string         `json:"select"` // path to the one object in the reply; "" = the reply
	Absent    []string       `json:"absent"` // error codes that mean "there is none"
}

// imageSet is a list (or a map) of which operations change single elements.
type imageSet struct {
	Member  string   `json:"member"`  // path in the image; a map counts as a list of Key and Value
	Key     []string `json:"key"`     // members that tell elements apart; none = the whole element
	Unkeyed []string `json:"unkeyed"` // members, at any depth, that do not tell elements apart
	Explode []string `json:"explode"` // list members of an element, each item of which is an element of its own
	Blank   bool     `json:"blank"`   // an element added with an empty Value is taken out
	// Across gives members that the elements of a call lack: template of the list of
	// their values, each of which makes an element of its own.
	Across map[string]string `json:"across"`
}

// operation says what one operation does to an aspect: at most one of Expected,
// Update, and Add with Remove. Input members that it does not mention make the
// effect unknown and the way back none.
type operation struct {
	If       []string          `json:"if"`       // "Member", "Member=value", "!Member": all must hold for the row to count
	Expected []expectation     `json:"expected"` // the whole image afterwards
	Update   map[string]string `json:"update"`   // input member -> image path: only what the call names is changed
	Add      any               `json:"add"`      // template: elements put into the set
	Remove   any               `json:"remove"`   // template: elements (or their keys) taken out of the set
	Opaque   []string          `json:"opaque"`   // input members whose effect the row cannot tell; "*" = all others
	Neutral  []string          `json:"neutral"`  // input members that change nothing that the image shows
	// Whole says that AWS fills in what the call leaves out: the effect is known where
	// the call names every member that the image has.
	Whole   bool     `json:"whole"`
	Restore *restore `json:"restore"` // instead of the row's
	// Repeat says of an opaque operation that making it again ends as making it once,
	// wherever the first time got to: what is stopped stays stopped.
	Repeat *repeat `json:"repeat"`

	mentioned map[string]bool // input paths that the operation accounts for
}

// repeat says how what an operation leads through tells whether it may be made again.
type repeat struct {
	Member  string   `json:"member"`  // path in the image
	Through []string `json:"through"` // its printed values on the way and at the end
	Witness []string `json:"witness"` // members of the image that change when somebody undoes it: a start time
}

type expectation struct {
	When   string         `json:"when"` // input member that must be present
	Is     string         `json:"is"`   // and equal, when not ""
	Absent bool           `json:"absent"`
	Set    map[string]any `json:"set"`
}

// restore gives the way back. Cases wins over Present and Absent, which go by
// whether the before-image exists; Update, Add and Remove belong to operations
// with these effects.
type restore struct {
	Present inverses            `json:"present"`
	Absent  inverses            `json:"absent"`
	Member  string              `json:"member"` // chooses among Cases by its printed value
	Cases   map[string]inverses `json:"cases"`
	Update  *inverse            `json:"update"` // nil = the same operation
	Add     *inverse            `json:"add"`
	Remove  *inverse            `json:"remove"`
}

type inverse struct {
	Operation string            `json:"operation"`
	Input     map[string]any    `json:"input"`
	When      []string          `json:"when"`  // terms as in operation.If over the image; all must hold
	Bare      bool              `json:"bare"`  // identity and carry are not handed over: the operation names the resource otherwise
	Each      bool              `json:"each"`  // one call for each element of a set
	Fresh     map[string]string `json:"fresh"` // input member -> member of the row's read, read again before the call
}

// inverses is one inverse or a list of them.
type inverses []inverse

// UnmarshalJSON takes an object or a list of objects.
func (l *inverses) UnmarshalJSON(raw []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(raw), []byte("[")) {
		return strictJSON(raw, (*[]inverse)(l))
	}
	var one inverse
	if err := strictJSON(raw, &one); err != nil {
		return err
	}
	*l = inverses{one}
	return nil
}

// neutralMembers never change what an image shows, in any operation.
var neutralMembers = []string{"DryRun", "ContentMD5", "ChecksumAlgorithm", "ClientToken", "ClientRequestToken", "IdempotencyToken"}

type imageTable struct {
	changes map[string][]ImageSpec // by changing operation
	reads   map[string][]ImageSpec // by before-image read
	err     error
}

// images parses the embedded table once. It is never written afterwards.
var images = sync.OnceValue(func() imageTable { return parseImages(imagesFS) })

// parseImages reads a table. A file that does not parse gives no rows, so that
// every operation in it counts as irreversible: the error never opens anything.
func parseImages(files fs.FS) imageTable {
	t := imageTable{changes: map[string][]ImageSpec{}, reads: map[string][]ImageSpec{}}
	names, err := fs.Glob(files, "images/*.json")
	if err != nil {
		t.err = err
		return t
	}
	for _, name := range names {
		raw, err := fs.ReadFile(files, name)
		if err != nil {
			t.err = errors.Join(t.err, err)
			continue
		}
		var rows []json.RawMessage
		if err := strictJSON(raw, &rows); err != nil {
			t.err = errors.Join(t.err, fmt.Errorf("image table %s: %w", name, err))
			continue
		}
		for i, raw := range rows {
			row := &aspect{service: strings.TrimSuffix(path.Base(name), ".json")}
			if err := t.add(row, raw); err != nil {
				t.err = errors.Join(t.err, fmt.Errorf("image table %s, row %d (%s): %w", name, i+1, row.Aspect, err))
			}
		}
	}
	return t
}

// add takes one row into the table.
func (t *imageTable) add(row *aspect, raw []byte) error {
	if err := strictJSON(raw, row); err != nil {
		return err
	}
	if _, err := parsePath(row.Read.Select); err != nil {
		return err
	}
	read := imageKey(row.service, row.Read.Operation)
	for _, other := range t.reads[read] {
		if other.row.Aspect == row.Aspect {
			return errors.New("another row has the same read and aspect")
		}
	}
	t.reads[read] = append(t.reads[read], ImageSpec{row: row, Service: row.service, Operation: row.Read.Operation})
	for name, op := range row.Changes {
		if err := op.check(row); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		op.mentioned = mentions(row, op)
		key := imageKey(row.service, name)
		t.changes[key] = append(t.changes[key], ImageSpec{row: row, op: op, Service: row.service, Operation: name})
	}
	return nil
}

// check holds what a row says about an operation against the rest of the row.
func (o operation) check(row *aspect) error {
	effects := 0
	for _, has := range []bool{len(o.Expected) > 0, len(o.Update) > 0, o.Add != nil || o.Remove != nil} {
		if has {
			effects++
		}
	}
	switch {
	case effects > 1:
		return errors.New("it has more than one of expected, update, and add or remove")
	case (o.Add != nil || o.Remove != nil) && row.Set == nil:
		return errors.New("add and remove need a set")
	case effects == 0 && len(o.Opaque) == 0:
		return errors.New("it says nothing about its effect; name what is opaque")
	case o.Repeat != nil && len(o.Opaque) == 0:
		return errors.New("repeat is for opaque operations; of others it can be told")
	case o.Repeat != nil && (o.Repeat.Member == "" || len(o.Repeat.Through) == 0):
		return errors.New("repeat needs a member, and the values that it goes through")
	}
	return nil
}

// mentions lists the input paths that an operation accounts for.
func mentions(row *aspect, o operation) map[string]bool {
	out := map[string]bool{}
	add := func(names ...string) {
		for _, n := range names {
			out[n] = true
		}
	}
	add(neutralMembers...)
	add(row.Identity...)
	add(row.Carry...)
	add(o.Opaque...)
	add(o.Neutral...)
	for member := range o.Update {
		add(member)
	}
	for _, term := range o.If {
		name, _, _ := strings.Cut(strings.TrimPrefix(term, "!"), "=")
		add(name)
	}
	for _, e := range o.Expected {
		add(e.When)
		add(inputPaths(e.Set)...)
	}
	for _, t := range []any{o.Add, o.Remove, row.Read.Input} {
		add(inputPaths(t)...)
	}
	if row.Set != nil {
		for _, t := range row.Set.Across {
			add(inputPaths(t)...)
		}
	}
	return out
}

// strictJSON decodes one value and refuses members that it does not know.
func strictJSON(raw []byte, to any) error {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(to); err != nil {
		return err
	}
	if dec.More() {
		return errors.New("more than one value")
	}
	return nil
}

// imageKey brings boto3's spellings (put_bucket_policy, PutBucketPolicy) and
// the command line's (put-bucket-policy) to one.
func imageKey(service, op string) string {
	return strings.ToLower(service) + ":" + strings.ToLower(strings.ReplaceAll(strings.ReplaceAll(op, "_", ""), "-", ""))
}
