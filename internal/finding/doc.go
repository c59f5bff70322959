// Package finding holds the security finding in AWS's own format (ASFF) and
// the pure rules about it: what makes one valid, who may change which member,
// how severities and workflow states move, and which control it is about.
//
// A finding is kept as the document that arrived: members that Parry does not
// know are carried along unchanged. Everything here is a function of its
// arguments; there is no clock, no store and no logger.
package finding
