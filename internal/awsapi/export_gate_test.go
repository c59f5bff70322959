package awsapi

// Glob is glob, for the fuzz target.
func Glob(pattern, s string) bool { return glob(pattern, s) }
