package store

import (
	"context"
	"database/sql"
	"fmt"
	"reflect"
	"strings"
)

// Dialect is what differs between the two databases, beside the statements.
type Dialect struct {
	Name    string // "sqlite", "postgres"
	Queries Queries
	// Arrays says that the statements for batches take one array per column;
	// otherwise they are prepared and run once per row.
	Arrays bool
	// OneWriter says that a file takes one write at a time, so that writes which wait
	// for one another are committed together.
	OneWriter bool
	// Find names the function (text, part) that gives where part begins, 0 for nowhere.
	Find string
	// Guesses says that the planner makes its plan for each question anew, and does not
	// know how rare a word is: it has to be told.
	Guesses bool
	// Snapshot begins a transaction whose reads all see one moment.
	Snapshot *sql.TxOptions
	// Classify tells what an error of the driver means.
	Classify func(error) Failure
	// Notify tells all nodes a text when the transaction is committed, Listen gives such
	// texts until its context ends; gap says that some may have been missed. Without them
	// there is one node, which tells itself.
	Notify string
	Listen func(ctx context.Context, got func(text string, gap bool)) error
	// Migrate brings both files to the current schema, alone among all nodes.
	Migrate func(context.Context) error
	// Sweep removes what only the tables of this database keep and nothing uses any more;
	// nil when there is no such thing.
	Sweep func(context.Context) error
}

// Queries are the named statements of a dialect.
type Queries struct {
	InboxAppend, InboxPeek, InboxDepth, InboxDelete string

	FindingRids, IdentityAppend, FindingCurrent, FindingInsert, FindingUpdate, DocPut string
	FindingRank, FindingDue, FindingThreats, ResourceTotals                           string
	FindingRead, FindingPage, DocsRead, EventAppend, EventPage, CountAdd, CountPage   string
	CountAddKind, CountPageKind, CountAddAccount, CountPageAccount                    string
	TextPut, TextDelete, ResourceAppend, ResourceDelete, ResourceCount                string
	UnsearchedRead, UnsearchedSet, UnsearchedPage                                     string
	CountAddControl, CountAddControlAccount                                           string
	CountControl, CountControlAccount, CountControlAccounts                           string
	DayAdd, DayAddKind, DayAddAccount, DayPage, DayPageKind, DayPageAccount, DaySince string
	DayPrune, DayPruneKind, DayPruneAccount, FindingTotal                             string
	HubTotalAdd, HubTotalTake, HubInsert, HubUpdate, HubDelete, HubRead, HubPage      string
	FindingExpired, EventDelete, DocDelete, FindingDelete, IdentityDelete             string

	RejectedPut, RejectedPage, RejectedRead, RejectedDelete, RejectedPrune, RejectedTrim string
	SourceStateRead, SourceStatePut, SourceStatePrune                                    string

	MemberPut, MemberList, MemberRead, MemberPrune, MemberRevision string
	OrgChangePut, OrgChangePage, OrgChangePrune                    string
	CoveragePut, CoveragePage, CoverageCount, CoverageDrop         string
	SightingPut, SightingList, SightingPrune                       string

	KeyInsert, KeyRead, KeyList, KeyRevoke, SignatureSee, SignaturePrune string

	PersonInsert, PersonRead, PersonList, PersonHeld, PersonUpdate, PersonDelete                  string
	SessionInsert, SessionRead, SessionList, SessionSeen, SessionEnd, SessionEndID, SessionEndAll string
	SessionTrim, SessionPrune, TryAdd, TryForget, TryPrune                                        string
	ViewTotalAdd, ViewTotalTake, ViewInsert, ViewUpdate, ViewDelete, ViewRead, ViewPage           string

	RuleRevision, RuleRevisionNext, RuleInsert, RuleUpdate, RuleDelete, RuleTotal, RuleAll string
	RuleHitAdd, RuleHits, RuleHitDelete                                                    string
	RuleRunInsert, RuleRunUpdate, RuleRunRead, RuleRunOpen, RuleRunPage, RuleRunPrune      string

	ExceptionRevision, ExceptionRevisionNext, ExceptionInsert, ExceptionUpdate, ExceptionTotal, ExceptionRead string
	ExceptionsIn, ExceptionDue, ExceptionPage, ExceptionPrune, FindingHeld                                    string

	RemediationInsert, RemediationRead, RemediationUpdate, RemediationPage, PlanInsert, PlanRead                                     string
	ApprovalInsert, ApprovalRead, ApprovalLatest, ApprovalOfStep, ApprovalUpdate, ApprovalPage, ApprovalDue                          string
	ChangeInsert, ChangeRead, ChangeUpdate, ChangeList                                                                               string
	ExecutionPut, ExecutionInsert, ExecutionRead, ExecutionToken, ExecutionsRead, ExecutionPage, ExecutionOwners, RemediationAccount string
	ExecutionEnd, ExecutionAt, ExecutionPrune, StepPut, StepPage, StepPrune                                                          string
	SignalNext, SignalInsert, SignalList, SignalPrune                                                                                string
	ScriptCallInsert, ScriptCallList, ScriptCallDrop, ScriptCallPrune                                                                string
	BlobPut, BlobUse, BlobRead, BlobRelease, BlobPrune, BlobUsePrune                                                                 string

	DocumentInsert, DocumentUpdate, DocumentRead, DocumentPage, DocumentDelete, DocumentCount           string
	VersionInsert, VersionRead, VersionPage, VersionsDelete, VersionDelete, VersionUpdate, VersionCount string

	MessageAppend, MessageDue, MessageClaim, MessageDone, MessageState, MessageRetry, MessageDead                    string
	MessageDeadList, MessageRequeue, MessagePrune, MessageRelease, MessageHeld                                       string
	GroupLock, GroupSchedule, GroupTaken, GroupAssign, GroupTotal, GroupList, GroupSent                              string
	GroupPrune, GroupHalt, NotificationHalt, NotificationHold, NotificationSent, NotificationNote, NotificationPrune string
	ThreadRead, ThreadPut, ThreadPrune                                                                               string
	AuditEnqueue, AuditPending, AuditDone, AuditKnown, AuditInsert, AuditLast, AuditPage                             string
	AuditFind                                                                                                        string

	EpochNext, NodeExtend, NodePut, NodeRead, NodeDead, NodeRelease, NodePrune      string
	LeaseTake, LeaseRelease, LeaseDrop, TimerPut, TimerDue, TimerDelete, TimerPrune string
	SwitchRead, SwitchSet                                                           string
	BudgetSpend, BudgetRefund, BudgetRead, BudgetList, BudgetPrune                  string
	ThrottlePut, ThrottleList, ThrottlePrune, NodeCount                             string

	BusEventAppend, BusEventWaiting, BusEventClaim, BusEventDone, BusEventClose, BusEventHold, BusEventSweep               string
	ArchivedAppend, ArchivedPage, ArchivedPrune, ArchivedSize                                                              string
	BusDeliveryAppend, BusAddressDue, BusDeliveryDue, BusDeliveryClaim, BusDeliveryRead, BusDeliveryDone, BusDeliveryAgain string
	BusDeliveryRelease, BusDeadPage, BusDeadRedrive, BusDeadPrune, BusEventFree, BusDeliveryHalt                           string

	CallAppend, CallUpdate, CallPage, CallPrune, CallTrim string

	CaseInsert, CaseUpdate, CaseOpenTotal, CaseRead, CasePage, CaseAccountPut, CaseGroupRead, CaseGroupPut, CaseGroupFree string
	CaseEntryAppend, CaseOfEvent, CaseEntryPage, CaseExpired, CaseEntryDrop, CaseAccountDrop, CaseDrop                    string

	BusRevision, BusRevisionNext, BusTotal, BusTotalAdd, BusTotalTake, BusTotalDrop string
	BusInsert, BusUpdate, BusDelete, BusRead, BusHead, BusPage, BusAll, BusHeads    string
}

// ParseQueries reads a file of named statements. A name that is missing,
// unknown or given twice is an error, so the two dialects cannot drift apart.
func ParseQueries(text string) (Queries, error) {
	var q Queries
	fields := reflect.ValueOf(&q).Elem()
	parts := strings.Split("\n"+text, "\n-- name: ")
	for _, part := range parts[1:] {
		head, body, _ := strings.Cut(part, "\n")
		name, _, _ := strings.Cut(strings.TrimSpace(head), " ")
		body = strings.TrimSuffix(strings.TrimSpace(body), ";")
		field := fields.FieldByName(name)
		switch {
		case !field.IsValid():
			return q, fmt.Errorf("statement %q is not one of store.Queries", name)
		case field.String() != "":
			return q, fmt.Errorf("statement %q is there twice", name)
		case body == "":
			return q, fmt.Errorf("statement %q is empty", name)
		}
		field.SetString(body)
	}
	for i := range fields.NumField() {
		if fields.Field(i).String() == "" {
			return q, fmt.Errorf("statement %q is missing", fields.Type().Field(i).Name)
		}
	}
	return q, nil
}
