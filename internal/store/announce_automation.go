package store

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/parry-security/parry/internal/pattern"
	"github.com/parry-security/parry/internal/remediation"
)

// eventTime is how Systems Manager writes times in its events.
const eventTime = "Jan 2, 2006 3:04:05 PM"

// automationDetail is the detail of Systems Manager's Automation events, in the
// form of AWS's page "Amazon EventBridge event examples for Systems Manager". It
// carries no inputs and no outputs.
type automationDetail struct {
	ExecutionID       string  `json:"ExecutionId"`
	Definition        string  `json:"Definition"`
	DefinitionVersion float64 `json:"DefinitionVersion"`
	Status            string  `json:"Status"`
	StartTime         string  `json:"StartTime,omitempty"`
	EndTime           string  `json:"EndTime,omitempty"`
	Time              float64 `json:"Time"` // milliseconds from start to end
	ExecutedBy        string  `json:"ExecutedBy,omitempty"`
	StepName          string  `json:"StepName,omitempty"`
	Action            string  `json:"Action,omitempty"`
}

// AnnounceExecution gives the event of an execution that came into e.Status. n
// tells apart the times at which it comes into one status, such as the number of
// the segment; the same n twice is one event.
func AnnounceExecution(e remediation.Execution, partition string, n int, at time.Time) (Effects, error) {
	d := detailOf(e, e.Status, e.StartedAt, e.EndedAt)
	d.ExecutedBy = e.StartedBy
	return announceAutomation(e, d, pattern.ExecutionChanged, partition, fmt.Sprintf("evt-%s-%d-%s", e.ID, n, e.Status), at)
}

// AnnounceStep gives the event of a step of e that came into s.Status. An attempt
// comes into a status once.
func AnnounceStep(e remediation.Execution, s remediation.StepExecution, partition string, at time.Time) (Effects, error) {
	d := detailOf(e, s.Status, s.StartedAt, s.EndedAt)
	d.StepName, d.Action = s.Name, s.Action
	return announceAutomation(e, d, pattern.StepChanged, partition, fmt.Sprintf("evt-%s-%s-%d-%s", e.ID, s.ID, s.Attempt, s.Status), at)
}

func detailOf(e remediation.Execution, status string, start, end time.Time) automationDetail {
	d := automationDetail{ExecutionID: e.ID, Definition: e.Document, DefinitionVersion: 1, Status: status}
	if v, err := strconv.Atoi(e.Version); err == nil {
		d.DefinitionVersion = float64(v)
	}
	if !start.IsZero() {
		d.StartTime = start.UTC().Format(eventTime)
	}
	if !end.IsZero() {
		d.EndTime, d.Time = end.UTC().Format(eventTime), float64(end.Sub(start).Milliseconds())
	}
	return d
}

func announceAutomation(e remediation.Execution, d automationDetail, kind, partition, id string, at time.Time) (Effects, error) {
	detail, err := json.Marshal(d)
	if err != nil {
		return Effects{}, fmt.Errorf("announce execution %s: %w", e.ID, err)
	}
	arn := "arn:" + partition + ":ssm:" + e.Region + ":" + e.Account
	envelope, err := json.Marshal(pattern.Envelope{
		Version: "0", ID: id, DetailType: kind, Source: pattern.SourceSSM, Account: e.Account, Region: e.Region,
		Time: at.UTC().Truncate(time.Second), Detail: detail,
		Resources: []string{arn + ":automation-execution/" + e.ID, fmt.Sprintf("%s:automation-definition/%s:%.0f", arn, e.Document, d.DefinitionVersion)},
		// A rule that answers it is told from one that answers the world outside.
		Parry: &pattern.Cause{By: "parry/remediation/" + string(e.Remediation)},
	})
	if err != nil {
		return Effects{}, fmt.Errorf("announce execution %s: %w", e.ID, err)
	}
	return Effects{Outbox: []Message{{ID: id, Topic: TopicEvent, Payload: envelope}}}, nil
}
