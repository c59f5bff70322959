package notify

import (
	"encoding/json"
	"fmt"

	"github.com/parry-security/parry/internal/bus"
	"github.com/parry-security/parry/internal/exception"
	"github.com/parry-security/parry/internal/pattern"
)

// renderException tells of an exception, false for events about something else.
func renderException(e bus.Event) (Message, bool, error) {
	var detail struct {
		Exception exception.Exception `json:"exception"`
		Covered   int64               `json:"covered"`
		DaysLeft  int                 `json:"daysLeft"`
	}
	if e.Source != bus.SourceParry {
		return Message{}, false, nil
	}
	var subject, sentence string
	switch e.DetailType {
	case pattern.ExceptionRequested:
		subject, sentence = "requested", "Somebody asks for an exception. Until it is approved it suppresses nothing."
	case pattern.ExceptionApproved:
		subject, sentence = "approved", "An exception is in force. Findings that it covers are suppressed."
	case pattern.ExceptionRejected:
		subject, sentence = "rejected", "An exception was rejected. It suppresses nothing."
	case pattern.ExceptionExpiring:
		subject, sentence = "expiring", "An exception ends soon. Then the findings that it covers are NEW again."
	case pattern.ExceptionEnded:
		subject, sentence = "ended", "An exception has ended. Findings that it covered are NEW again."
	default:
		return Message{}, false, nil
	}
	if err := json.Unmarshal(e.Detail, &detail); err != nil {
		return Message{}, false, fmt.Errorf("read exception: %w", err)
	}
	x := detail.Exception
	if x.State == exception.Withdrawn || x.State == exception.Expired {
		sentence = "An exception ended before anybody approved it."
	}
	if detail.DaysLeft > 0 {
		subject = fmt.Sprintf("ends in %d days", detail.DaysLeft)
	}
	var b body
	b.lead(sentence)
	b.gap()
	b.fact("Exception", x.ID)
	b.fact("Title", x.Title)
	b.fact("Owner", x.Owner)
	b.fact("Link", x.Link)
	b.fact("Until", x.ExpiresAt.UTC().Format("2006-01-02 15:04 MST"))
	b.fact("Covers", fmt.Sprintf("%d findings", detail.Covered))
	b.fact("Asked by", x.RequestedBy)
	b.fact("Decided by", x.DecidedBy)
	b.fact("Ended by", x.EndedBy)
	b.reason(x.Reason)
	next := []string{"parry exception show " + argument(x.ID)}
	if x.State == exception.Pending {
		next = append(next, "parry exception approve "+argument(x.ID), "parry exception reject "+argument(x.ID))
	}
	b.next(next...)
	return Message{Subject: fmt.Sprintf("Parry: exception %s: %s", subject, Clean(x.Title, 100)), Body: b.String(), Content: b.content, Status: "exception " + subject}, true, nil
}
