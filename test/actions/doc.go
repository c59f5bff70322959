// Package actions runs documents whose steps do one action each on moto, through
// the gate and behind the wall: planned first, then applied under that plan. What
// they leave is read by other calls than the actions make.
package actions
