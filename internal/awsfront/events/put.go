package events

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/awsfront/protocol"
	"github.com/parry-security/parry/internal/buspolicy"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/route"
)

// The limits of PutEvents.
const (
	MaxEntries = 10
	// MaxEntriesSize bounds all entries of a request together, as AWS counts them: its
	// megabyte, within the event's own limit with what stands around it.
	MaxEntriesSize = 1_000_000
	maxSource      = 256
	maxDetailType  = 128
	maxResources   = 500
	timeSize       = 14 // of Time, as AWS counts it
)

// entry is one of PutEvents' input. Members that the model does not know are ignored.
type entry struct {
	Time                            jsontext.Value
	Source, DetailType, TraceHeader string
	EventBusName                    string
	Resources                       []string
	Detail                          longText
}

// longText is a string that is read with one copy less: most of a request is details.
type longText string

var unquoting = sync.Pool{New: func() any { return new([]byte) }}

// UnmarshalJSONFrom reads a string, or null as none.
func (t *longText) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	raw, err := dec.ReadValue()
	if err != nil {
		return err
	}
	switch raw.Kind() {
	case 'n':
		*t = ""
		return nil
	case '"':
		room, _ := unquoting.Get().(*[]byte)
		if *room, err = jsontext.AppendUnquote((*room)[:0], raw); err == nil {
			*t = longText(*room)
		}
		if cap(*room) <= MaxEntriesSize {
			unquoting.Put(room)
		}
		return err
	}
	return errors.New("not a string")
}

type putInput struct {
	Entries    []entry
	EndpointID string `json:"EndpointId"`
}

// size counts an entry as AWS does.
func (e entry) size() int {
	n := len(e.Source) + len(e.DetailType) + len(e.Detail)
	if len(e.Time) > 0 {
		n += timeSize
	}
	for _, r := range e.Resources {
		n += len(r)
	}
	return n
}

// putResult is what became of one entry.
type putResult struct {
	EventID      string `json:"EventId,omitempty"`
	ErrorCode    string `json:",omitempty"`
	ErrorMessage string `json:",omitempty"`
}

type putOutput struct {
	FailedEntryCount int
	Entries          []putResult
}

// putEvents takes events. One that is wrong fails alone; one that its caller may not put
// refuses the request, before anything of it is taken.
func (h *Handler) putEvents(ctx context.Context, c Caller, body []byte) (any, error) {
	if err := auth.Permit(c.Principal, auth.EventPut); err != nil {
		return nil, err
	}
	account, err := h.accountOf(c.Principal)
	if err != nil {
		return nil, err
	}
	entries, err := readEntries(body)
	if err != nil {
		return nil, err
	}
	p := putting{h: h, caller: buspolicy.Caller{Account: account, ARN: "arn:" + h.cfg.Partition + ":iam::" + account + ":user/parry/" + c.Principal.Name}, region: c.Region}
	p.results = make([]putResult, len(entries))
	for i, e := range entries {
		if err := p.take(ctx, i, e); err != nil {
			return nil, err
		}
	}
	return p.put(ctx), nil
}

// accountOf gives the account that a key speaks for: its only one, or the security account
// where it has that, or all.
func (h *Handler) accountOf(p auth.Principal) (string, error) {
	switch {
	case p.Covers(h.cfg.Account):
		return h.cfg.Account, nil
	case len(p.Accounts) == 1:
		return p.Accounts[0], nil
	}
	return "", fault.Errorf(fault.Denied, "put events", "the key %s is for %d accounts, so it cannot be told for which of them it puts events", p.KeyName, len(p.Accounts)).
		WithHint("use a key for one account: parry key create --account")
}

// readEntries reads a request and refuses what AWS refuses as a whole.
func readEntries(body []byte) ([]entry, error) {
	var in putInput
	if err := json.Unmarshal(bytes.TrimSpace(body), &in); err != nil {
		return nil, protocol.Serialization("The request body is not what PutEvents takes: a member has another type, is given twice, or it is not valid JSON.")
	}
	if len(in.Entries) < 1 || len(in.Entries) > MaxEntries {
		bound := "greater than or equal to 1"
		if len(in.Entries) > 0 {
			bound = fmt.Sprintf("less than or equal to %d", MaxEntries)
		}
		return nil, protocol.Validation([]string{fmt.Sprintf("Value '[%d entries]' at 'entries' failed to satisfy constraint: Member must have length %s", len(in.Entries), bound)})
	}
	if in.EndpointID != "" {
		return nil, invalid("EndpointId is not served: Parry has no global endpoints.")
	}
	size, whole := 0, false
	for _, e := range in.Entries {
		size += e.size()
		whole = whole || e.Source != "" && e.DetailType != "" && e.Detail != ""
	}
	switch {
	case size > MaxEntriesSize:
		return nil, invalid("Total size of the entries in the request is over the limit: %d bytes, %d are allowed.", size, MaxEntriesSize)
	case !whole:
		return nil, invalid("No entry has each of Source, DetailType and Detail.")
	}
	return in.Entries, nil
}

// putting is one request on its way.
type putting struct {
	h       *Handler
	caller  buspolicy.Caller
	region  string
	results []putResult
	buses   []string // in the order in which they come
	taken   map[string][]int
	entries map[int]route.Entry
}

func (p *putting) fail(i int, code, format string, args ...any) {
	p.results[i] = putResult{ErrorCode: code, ErrorMessage: fmt.Sprintf(format, args...)}
}

// take checks an entry and keeps it for its bus.
func (p *putting) take(ctx context.Context, i int, e entry) error {
	made, wrong := check(e)
	if wrong != nil {
		p.results[i] = *wrong
		return nil
	}
	bus, err := p.h.cfg.Desk.BusName(e.EventBusName)
	if err == nil {
		err = p.h.cfg.Desk.MayPut(ctx, bus, p.caller, e.Source, e.DetailType)
	}
	if fault.Is(err, fault.NotFound) {
		p.fail(i, "ResourceNotFoundException", "%s", err.Error())
		return nil
	}
	if err != nil {
		return err
	}
	made.Account, made.Region = p.caller.Account, p.region
	if p.taken == nil {
		p.taken, p.entries = map[string][]int{}, map[int]route.Entry{}
	}
	if !slices.Contains(p.buses, bus) {
		p.buses = append(p.buses, bus)
	}
	p.taken[bus], p.entries[i] = append(p.taken[bus], i), made
	return nil
}

// check gives the event of an entry, or why it fails.
func check(e entry) (route.Entry, *putResult) {
	made := route.Entry{Source: e.Source, DetailType: e.DetailType, Resources: e.Resources}
	bad := func(parameter, format string, args ...any) (route.Entry, *putResult) {
		return made, &putResult{ErrorCode: "InvalidArgument", ErrorMessage: "Parameter " + parameter + " is not valid. Reason: " + fmt.Sprintf(format, args...)}
	}
	for _, r := range [][2]string{{"Source", e.Source}, {"DetailType", e.DetailType}, {"Detail", string(e.Detail)}} {
		if r[1] == "" {
			return bad(r[0], "%s is a required argument.", r[0])
		}
	}
	switch {
	case utf8.RuneCountInString(e.Source) > maxSource:
		return bad("Source", "Source has more than %d characters.", maxSource)
	case utf8.RuneCountInString(e.DetailType) > maxDetailType:
		return bad("DetailType", "DetailType has more than %d characters.", maxDetailType)
	case len(e.Resources) > maxResources:
		return bad("Resources", "there are more than %d.", maxResources)
	case pattern.Reserved(e.Source):
		return made, &putResult{ErrorCode: "NotAuthorizedForSourceException", ErrorMessage: "Not authorized for the source."}
	}
	var err error
	if made.Time, err = timeOf(e.Time); err != nil {
		return bad("Time", "%v", err)
	}
	if made.Detail, err = pattern.ValidateString(string(e.Detail)); err != nil {
		return made, &putResult{ErrorCode: "MalformedDetail", ErrorMessage: "Detail is malformed: " + err.Error()}
	}
	return made, nil
}

// timeOf reads the time of an entry: seconds since 1970, or as people write it. None is
// the zero time.
func timeOf(raw jsontext.Value) (time.Time, error) {
	switch raw.Kind() {
	case '0':
		var seconds float64
		if err := json.Unmarshal(raw, &seconds); err == nil && seconds >= 0 && seconds < 253_402_300_800 {
			return time.UnixMilli(int64(seconds * 1000)).UTC(), nil
		}
	case '"':
		var text string
		if err := json.Unmarshal(raw, &text); err == nil {
			if at, err := time.Parse(time.RFC3339, text); err == nil && at.Unix() >= 0 && at.Year() < 10_000 {
				return at.UTC(), nil
			}
		}
	case 'n', 0:
		return time.Time{}, nil
	}
	return time.Time{}, fmt.Errorf("%s is not a time in seconds since 1970", protocol.Clip(string(raw)))
}

// put puts the entries that were taken on their buses. What one bus does not take fails
// alone, so that what others took is not put again.
func (p *putting) put(ctx context.Context) putOutput {
	for _, bus := range p.buses {
		at := p.taken[bus]
		batch := make([]route.Entry, len(at))
		for n, i := range at {
			batch[n] = p.entries[i]
		}
		ids, err := p.h.cfg.Putter.Put(ctx, bus, batch)
		for n, i := range at {
			switch {
			case err == nil:
				p.results[i] = putResult{EventID: ids[n]}
			case fault.Is(err, fault.NotFound):
				p.fail(i, "ResourceNotFoundException", "Event bus %s does not exist.", bus)
			case fault.Is(err, fault.Invalid):
				p.fail(i, "InvalidArgument", "%v", err)
			default:
				p.fail(i, "InternalFailure", "The event could not be stored. Try again.")
			}
		}
		if err != nil && !fault.Is(err, fault.NotFound) && !fault.Is(err, fault.Invalid) { // which is the caller's affair
			p.h.log.ErrorContext(ctx, "events not taken", "bus", bus, "entries", len(at), "error", err)
		}
	}
	out := putOutput{Entries: p.results}
	for _, r := range p.results {
		if r.ErrorCode != "" {
			out.FailedEntryCount++
		}
	}
	return out
}
