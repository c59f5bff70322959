// Package buspolicy holds the resource policy of an event bus: who may do what with the
// bus and its rules, in IAM's language. Parse reads and checks a policy, Decide judges a
// request by it and names the statement, Put and Remove are the edits of PutPermission
// and RemovePermission.
//
// The language is that of the IAM user guide (condition operators, single-valued and
// multivalued context keys) and of the EventBridge user guide ("Using IAM policy
// conditions in Amazon EventBridge" and the example policies for event buses). An
// explicit Deny wins; a request that no statement is about is Silent, and whoever asks
// decides by the rights of the caller's own account.
//
// # Closed
//
// Parse refuses what Decide would not be able to judge: condition keys and operators that
// are not known here, principals other than accounts, roles, users and services,
// NotPrincipal, variables of unknown keys. AWS takes some of these. They are refused
// since a Deny that never applies would leave a bus open without a word, and PutPermission
// is where a person reads the error. Keys lists what is known.
//
// Keys of which it is not known whether a request has them (Request.Unknown) are judged
// so that nobody gets in, whatever the operator.
//
// # Where the documentation is silent, or says two things
//
//   - ForAllValues holds for a key that is absent, says IAM; EventBridge's table says that
//     an Allow with it does not where the key is of its own (events:...). Here it is so.
//   - That page has one table by which ForAllValues with two sources refuses a pattern with
//     both, and one by which it does not. IAM's definition agrees with the second.
//   - A key with several values under an operator that is not for sets: all have to meet
//     it in an Allow, one in a Deny.
//   - A statement without Principal, which an example has, speaks of the bus's own account
//     in an Allow; in a Deny it is refused.
//   - What a variable stands for is taken literally, also where it has a * or ?. One that
//     stands for nothing in a request makes its condition fail in an Allow and hold in a
//     Deny.
//   - "*" in an Allow does not mean the services of AWS.
//
// PutPermission with a StatementId that is there replaces that statement.
//
// # Limits
//
// A policy has at most MaxPolicy characters, which bounds the work of a decision: each
// value of a request is compared with each of the policy's values once.
//
// The evaluator of test/awswall judges Parry from outside and shares nothing with this
// one; playbook and ingest/sqs ask other questions of policies (is it public, who can
// send) and judge no request.
package buspolicy
