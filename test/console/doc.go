// Package console drives the pages of the console in a browser, against the real binary
// on the emulated AWS: the story of one finding from its list to its undo, and every page
// in both themes.
//
// It needs Node, Chromium, and the pages built (make web). With
// PARRY_TEST_CONSOLE=require it fails where one is missing, else it skips and says so.
package console
