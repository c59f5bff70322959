package automation

// taskActions gives the handlers of the actions that begin something in AWS and
// wait for its end.
func taskActions() map[string]actionFunc {
	return map[string]actionFunc{}
}
