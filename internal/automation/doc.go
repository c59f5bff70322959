// Package automation runs Automation documents one step at a time: executeAwsApi,
// assertAwsResourceProperty, waitForAwsResourceProperty, branch and sleep, with
// the transitions, attempts, time limits and statuses of Systems Manager.
//
// It talks to AWS only through a Caller and keeps nothing of its own: every
// attempt of a step that talks to AWS is one checkpoint of a StepRunner, so that
// a restart never repeats a completed step, and what lies between checkpoints is
// computed again from them.
//
// An execution is a chain of segments. A sleep or wait over a minute, or 500
// steps, ends the segment: Run returns an Outcome with the State from which the
// next segment goes on, and the time at which it is due. Nothing is parked in
// memory.
//
// Invariant: between two checkpoints the interpreter decides nothing by the
// clock, by randomness or by the order of a map. A decision that depends on the
// time is itself a checkpoint. Otherwise a replay could take another way than
// the run that it repeats, with a second segment already started.
//
// A refusal that is only for now (the stop switch, a used up budget) parks the
// step as a long wait does; the same attempt is made again in the next segment.
//
// A conflict or a denial from the Caller is a security stop: the plan does not
// hold the call, or the resource changed. It ends the execution whatever the
// document says about failures.
package automation
