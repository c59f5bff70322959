// Package ocsf takes findings in OCSF.
package ocsf
