package awsapi

// Glob is glob, for the fuzz target.
func Glob(pattern, s string) bool { return glob(pattern, s) }

// Overlap is overlap, for the fuzz target.
func Overlap(a, b string) bool { return overlap(a, b) }
