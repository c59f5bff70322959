package finding

// ControlStatus is how a control stands over all the findings about it.
type ControlStatus string

// The control statuses, as Security Hub names them.
const (
	ControlPassed  ControlStatus = "PASSED"
	ControlFailed  ControlStatus = "FAILED"
	ControlUnknown ControlStatus = "UNKNOWN"
	ControlNoData  ControlStatus = "NO_DATA"
)

// ControlStatusOf gives a control's status from the standings of its findings,
// in whatever accounts and regions: any failure fails it; else anything but a
// pass leaves it unknown; without findings that count there is no data. Archived
// and suppressed findings do not count.
//
// It follows "Evaluating compliance status and control status" of the AWS
// Security Hub user guide.
func ControlStatusOf(findings []Standing) ControlStatus {
	status := ControlNoData
	for _, f := range findings {
		if f.Record == Archived || f.Workflow == Suppressed {
			continue
		}
		switch f.Compliance {
		case Failed:
			return ControlFailed
		case Warning, NotAvailable:
			status = ControlUnknown
		case Passed:
			if status == ControlNoData {
				status = ControlPassed
			}
		}
	}
	return status
}

// SecurityScore gives the share of passed controls in percent, rounded to the
// nearest integer, and whether there is one: controls without data do not count,
// those of unknown status do. For a summary over standards each control is to be
// given once.
//
// It follows "Calculating security scores" of the AWS Security Hub user guide.
func SecurityScore(controls []ControlStatus) (percent int, ok bool) {
	passed, all := 0, 0
	for _, c := range controls {
		switch c {
		case ControlPassed:
			passed, all = passed+1, all+1
		case ControlFailed, ControlUnknown:
			all++
		case ControlNoData:
		}
	}
	if all == 0 {
		return 0, false
	}
	return (200*passed + all) / (2 * all), true
}
