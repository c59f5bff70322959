// Package automation runs Automation documents one step at a time, with the
// transitions, attempts, time limits and statuses of Systems Manager.
//
// It talks to AWS only through a Caller and keeps nothing of its own: every
// attempt of a step that talks to anybody is one checkpoint of a StepRunner, so
// that a restart never repeats a completed step, and what lies between
// checkpoints is computed again from them.
//
// An execution is a chain of segments. A sleep or wait over a minute, a question
// to people, children, or 500 steps end the segment: Run returns an Outcome with
// the State from which the next segment goes on, and the time at which it is
// due; a zero time means when a signal comes. Nothing is parked in memory.
//
// Invariant: between two checkpoints the interpreter decides nothing by the
// clock, by randomness or by the order of a map. A decision that depends on the
// time or on a signal is itself a checkpoint. Otherwise a replay could take
// another way than the run that it repeats, with a second segment already
// started.
//
// Labels. Every pass of a step has a label: the name, "#2" for its second pass,
// the parent's label and a slash before it in a child ("Each[i-0abc]/Stop#2").
// The Caller gets the label with each call, and planning interprets children in
// line under the same labels, so that a plan and its application agree call by
// call.
//
// Loops are frames in the State: the cursor goes through the body as through
// the document, and comes back to the loop's step after each iteration.
//
// Signals are read inside checkpoints, and the record keeps what followed from
// them. What stays in memory (a short sleep or wait, a script) looks for them
// about once a second.
//
// Scripts begin anew after a crash; a journal gives them the answers that they
// had. A change is never made while a recorded one has not been asked for again.
//
// Children are executions of their own. The parent keeps counts and the children
// that run, starts more as those end, and waits for nothing but signals.
//
// A refusal that is only for now (the stop switch, a used up budget) parks the
// step as a long wait does; the same attempt is made again in the next segment.
//
// A conflict or a denial from the Caller is a security stop: the plan does not
// hold the call, or the resource changed. It ends the execution whatever the
// document says about failures.
//
// In planning, a value that only applying will tell is a stand-in. A wait for
// one counts as met; a branch, a loop or an assertion on one leaves the plan
// open at that step, and so does a step that fails on one.
package automation
