// Package filter reads Security Hub's AwsSecurityFindingFilters, refuses the
// combinations that AWS refuses, and tests findings against them in memory.
// It says of every test why it held or did not.
//
// The parsed form is plain data, so that the store can compile it to SQL. The
// time that a relative date range is measured from is always an argument.
package filter
