// Package rule holds Security Hub's automation rules, versions 1 (ASFF) and 2
// (OCSF): criteria that a provider's finding must meet, and the one action that
// changes the finding.
//
// Apply is pure: the same rules, findings and time give the same result and
// the same trace. A rule that does not parse is reported by name and place and
// takes no part; it never stands for "matches everything".
package rule
