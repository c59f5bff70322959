package apimodel

import (
	"maps"
	"time"
)

// Some operations that make something take no token by which AWS would know a
// repeated request, and show what they made with a text that the call has put on it.
// A text that nobody else has tells after a crash whether the call was made.

// search says how what an operation made is found again.
type search struct {
	mark   string // input member, and member of what is found
	read   string
	input  func(since time.Time) map[string]any
	list   string // member of the read's answer
	answer string // member of the operation's own answer
}

// searches are the operations that are found again.
//
// ssm:SendCommand: "Comment: User-specified information about the command", at most 100
// characters, is a member of Command, and ListCommands filters by InvokedAfter.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_ListCommands.html
var searches = map[string]search{
	"ssm:SendCommand": {
		mark: "Comment", read: "ListCommands", list: "Commands", answer: "Command",
		input: func(since time.Time) map[string]any {
			return map[string]any{"Filters": []any{map[string]any{"key": "InvokedAfter", "value": since.UTC().Format("2006-01-02T15:04:05Z")}}}
		},
	},
}

// MarkMember names the input member whose text AWS shows with what a call of the
// operation makes.
func MarkMember(service, operation string) (string, bool) {
	s, ok := searches[service+":"+operation]
	return s.mark, ok
}

// Search gives the read that lists what calls like c have made since a time; false
// where c carries no mark.
func Search(c Call, since time.Time) (Call, bool) {
	s, ok := searches[c.Service+":"+c.Operation]
	if text, _ := c.Input[s.mark].(string); !ok || text == "" {
		return Call{}, false
	}
	read := c
	read.Operation, read.Input = s.read, s.input(since)
	return read, true
}

// Found gives the answer that c had, from what the read of Search lists: that of the
// one thing which carries the mark of c. Several are none.
func Found(c Call, listed Reply) (Reply, bool) {
	s := searches[c.Service+":"+c.Operation]
	items, _ := listed.Output[s.list].([]any)
	var found map[string]any
	for _, item := range items {
		m, _ := item.(map[string]any)
		if m == nil || m[s.mark] != c.Input[s.mark] {
			continue
		}
		if found != nil {
			return Reply{}, false
		}
		found = maps.Clone(m)
	}
	if found == nil {
		return Reply{}, false
	}
	return Reply{Output: map[string]any{s.answer: found}}, true
}
