package event

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/parry-security/parry/internal/apimodel"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
)

// MaxBytes is the largest event that is read. EventBridge's own limit is
// 256 KB; a message of SQS may have 1 MB.
const MaxBytes = 1 << 20

// maxDepth bounds nesting; GuardDuty's attack sequences have about 15 levels.
const maxDepth = 64

// Event is an EventBridge event with its detail opened.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events.html
type Event struct {
	ID         string
	DetailType string
	Source     string
	Account    string
	Region     string
	Time       time.Time
	Resources  []string
	Detail     Doc
	// Raw is the event as it came, without what a topic had put around it.
	Raw json.RawMessage
}

// Key identifies the occurrence, however often and by however many queues it
// is delivered: EventBridge gives every event an id and may send it again.
func (e Event) Key() string { return e.Source + "/" + e.Account + "/" + e.Region + "/" + e.ID }

// Partition gives the AWS partition of the event's region.
func (e Event) Partition() string { return apimodel.Partition(e.Region) }

// ProductARN gives the ARN of a product of AWS in the event's region.
func (e Event) ProductARN(product string) string {
	return "arn:" + e.Partition() + ":securityhub:" + e.Region + "::product/aws/" + product
}

// Parse reads one event. What SNS puts around a message that it brings to a
// queue is taken off first.
func Parse(raw []byte) (Event, error) {
	const op = "read event"
	body, err := unwrap(raw)
	if err != nil {
		return Event{}, err
	}
	var head struct {
		ID         string          `json:"id"`
		DetailType string          `json:"detail-type"`
		Source     string          `json:"source"`
		Account    string          `json:"account"`
		Region     string          `json:"region"`
		Time       string          `json:"time"`
		Resources  []string        `json:"resources"`
		Detail     json.RawMessage `json:"detail"`
	}
	if err := json.Unmarshal(body, &head); err != nil {
		return Event{}, fault.Errorf(fault.Invalid, op, "the envelope is not EventBridge's: %w", err)
	}
	for _, m := range []struct{ name, value string }{
		{"id", head.ID}, {"detail-type", head.DetailType}, {"source", head.Source}, {"account", head.Account}, {"region", head.Region},
	} {
		if m.value == "" || len(m.value) > 256 || strings.ContainsRune(m.value, 0) {
			return Event{}, fault.Errorf(fault.Invalid, op, "the envelope's %q is missing or too long", m.name).
				WithHint("send whole EventBridge events to the queue: a target without an input transformer")
		}
	}
	e := Event{
		ID: head.ID, DetailType: head.DetailType, Source: head.Source, Account: head.Account, Region: head.Region,
		Resources: head.Resources, Raw: json.RawMessage(body),
	}
	// A time that cannot be read is no reason to lose an event.
	e.Time, _ = finding.ParseTime(head.Time)
	d := json.NewDecoder(bytes.NewReader(head.Detail))
	d.UseNumber()
	if err := d.Decode(&e.Detail); err != nil || e.Detail == nil {
		return Event{}, fault.Errorf(fault.Invalid, op, "the event's detail is not an object")
	}
	return e, nil
}

// unwrap checks size, text and depth, and takes off the envelope of SNS.
func unwrap(raw []byte) ([]byte, error) {
	const op = "read event"
	if err := check(raw); err != nil {
		return nil, err
	}
	var notification struct{ Type, Message, TopicArn string }
	if err := json.Unmarshal(raw, &notification); err != nil {
		return nil, fault.Errorf(fault.Invalid, op, "it is not a JSON object: %w", err)
	}
	if notification.Type != "Notification" || notification.TopicArn == "" {
		return raw, nil
	}
	body := []byte(notification.Message)
	return body, check(body)
}

func check(raw []byte) error {
	const op = "read event"
	switch {
	case len(raw) > MaxBytes:
		return fault.Errorf(fault.Invalid, op, "%d bytes are more than the limit of %d", len(raw), MaxBytes)
	case !utf8.Valid(raw):
		return fault.Errorf(fault.Invalid, op, "it is not UTF-8")
	case tooDeep(raw):
		return fault.Errorf(fault.Invalid, op, "it is nested more than %d levels", maxDepth)
	}
	return nil
}

// tooDeep counts brackets outside strings, before the decoder sees the text.
func tooDeep(raw []byte) bool {
	depth, inString := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > maxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}
