// Package control is the catalogue of Security Hub's controls and standards,
// and what control findings say about them: the status of a control, of a
// standard, and the security score. Types and pure functions only.
//
// The catalogue holds facts of AWS's user guide: ids, titles, severities, which
// standards a control belongs to and the requirements of those. It is written by
// control/gen; `make controls` runs it.
// https://docs.aws.amazon.com/securityhub/latest/userguide/securityhub-controls-reference.html
//
// Status and score follow
// https://docs.aws.amazon.com/securityhub/latest/userguide/controls-overall-status.html and
// https://docs.aws.amazon.com/securityhub/latest/userguide/standards-security-score.html.
package control
