// Package insight keeps insights and custom actions, answers insights and carries
// findings to the bus when a person asks for it.
//
// # Takes
//
// An insight: filters, and the attribute by which the findings that they select are
// counted. A custom action: a name that rules of the bus match. Both are of the
// installation's account, as ARNs of Security Hub. The insights that AWS manages, and
// Parry's own, are data of catalog/insights.
//
// # Gives
//
// Counts within the accounts of whoever asks. For an action that is invoked, one event
// "Security Hub Findings - Custom Action" for each finding, or one event "Security Hub
// Insight Results", in AWS's envelope (topic action), with the person who asked beside
// it, so that a plan to which it leads is that person's request.
//
// # States
//
// None. Insights and actions are made, changed and deleted, each with an entry for the
// audit log in the same transaction.
//
// # Never
//
// Shows or sends a finding outside the accounts it is given. Who may do what is for its
// callers to check.
//
// # When it fails
//
// A request is refused whole, with the reason: nothing is sent for one finding of several
// that may not be sent. An insight whose findings would have to be read from more than
// 200,000 documents is refused with the hint to narrow it.
package insight
