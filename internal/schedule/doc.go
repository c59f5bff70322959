// Package schedule reads the schedule expressions of Amazon EventBridge and says when
// they are next due: rate(value unit), cron(six fields) and at(yyyy-mm-ddThh:mm:ss).
//
// There are two dialects. ParseRule reads what PutRule takes ("Setting a schedule
// pattern for scheduled rules" in the EventBridge user guide): all six fields, and the
// unit of a rate singular for 1 and plural above; beyond that at, and a time zone behind
// the expression, UTC where there is none. Parse reads what
// EventBridge Scheduler takes ("Schedule types" in its user guide): a time zone, at,
// a start and an end (Between), the year may be left out, and rate(1 days) is as good
// as rate(1 day).
//
// # Daylight saving time
//
// As Scheduler has it, a time of a cron expression that the clocks skip in spring is
// skipped, and one that they show twice in autumn is due once, the first time. This
// goes for every time: cron(0/15 * * * ? *) is silent for the hour that is repeated. A
// rate counts real time: a day is 24 hours.
//
// # Where AWS's documentation is silent
//
//   - Ranges wrap in every field but the year: 20-2 as in the guide's example, and so
//     NOV-FEB, FRI-MON or 28-3. A step counts on over the end: 22-4/3 is 22, 1 and 4.
//   - A step is at least 1 and at most the field's greatest value.
//   - 1W stays in its month: where the 1st is a Saturday it is Monday the 3rd. 31W is
//     never due in a month of 30 days. LW is the last weekday of the month; W and L may
//     stand in a list.
//   - L alone as a day of the week is its last, SAT.
//   - Names of months and days may be written in any case.
//   - at, a time that the clocks skip: refused, since it would never be due. One that
//     they show twice is due the first time.
//   - A rule's rate is due for the first time one period after the rule was made. The end of
//     a Between is the last time at which a schedule may be due.
//
// # Limits
//
// An expression has at most 256 characters and a zone's name 50, as in AWS's API; a
// rate is at most 100 years. Nothing is due after the year 2199. Next looks at no more
// than the days between: an expression without a future time is told at once.
//
// Parse asks the Go runtime for the time zone, which reads it from the system's zone
// database or from the one in the program; nothing else here leaves memory. No library
// was found that reads AWS's dialect: those for Unix cron and Quartz differ in fields,
// wraps, W and the numbers of weekdays.
package schedule
