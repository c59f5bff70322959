// Package ocsf reads and writes findings in the Open Cybersecurity Schema
// Framework, versions 1.1 to 1.5 (https://schema.ocsf.io): the classes 2002
// vulnerability, 2003 compliance, 2004 detection, 2006 data security and 2007
// application security posture finding. docs/ocsf.md has the mapping.
//
// Nothing is lost on the way. A finding that came in OCSF keeps the document that
// it came as; one that came in ASFF carries in unmapped.asff what OCSF has no
// member for. Everything here is a function of its arguments.
package ocsf
