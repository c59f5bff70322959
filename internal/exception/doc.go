// Package exception is an accepted risk: findings that a scope selects are suppressed
// for a time, with an owner, a reason and the word of a second person. An exception is
// never changed once it is asked for, since the approval is for what was asked;
// another one replaces it.
package exception
