// Package casefile is a case: what happened in which accounts, who found out what and
// when, and where the response stands. Its words and limits are those of AWS Security
// Incident Response (API 2018-05-10, CreateCase and GetCase), as far as Parry has them.
//
// Text of events and findings is claimed by others: it is kept as text, without control
// characters and shortened, and names no account that the event itself is not of.
package casefile
