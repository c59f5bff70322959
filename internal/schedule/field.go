package schedule

import (
	"slices"
	"strconv"
	"strings"

	"github.com/parry-security/parry/internal/fault"
)

// field is what one field of a cron expression takes.
type field struct {
	name     string
	min, max int
	names    []string // of min and what follows
	wildcard string   // what it takes beside numbers and names, for people
}

func minuteField() field {
	return field{name: "minutes", max: 59, wildcard: ", - * /"}
}

func hourField() field {
	return field{name: "hours", max: 23, wildcard: ", - * /"}
}

func dayField() field {
	return field{name: "day-of-month", min: 1, max: 31, wildcard: ", - * ? / L W"}
}

func monthField() field {
	return field{
		name: "month", min: 1, max: 12, wildcard: ", - * /",
		names: []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"},
	}
}

func weekdayField() field {
	return field{
		name: "day-of-week", min: 1, max: 7, wildcard: ", - * ? L #",
		names: []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"},
	}
}

func yearField() field {
	return field{name: "year", min: minYear, max: maxYear, wildcard: ", - * /"}
}

// bad is an error about one item of the field. It says what the field takes.
func (f field) bad(item, format string, args ...any) *fault.Error {
	values := strconv.Itoa(f.min) + " to " + strconv.Itoa(f.max)
	if f.names != nil {
		values += " or " + f.names[0] + " to " + f.names[len(f.names)-1]
	}
	err := fault.Errorf(fault.Invalid, op, "the "+f.name+" %q: "+format, append([]any{item}, args...)...)
	return err.WithHint("%s takes %s, with %s", f.name, values, f.wildcard)
}

// set reads a field into bits.
func (f field) set(text string, into *uint64) error {
	return f.each(text, func(v int) { *into |= 1 << v })
}

// each calls add with every value of a list.
func (f field) each(text string, add func(int)) error {
	for item := range strings.SplitSeq(text, ",") {
		if err := f.item(item, add); err != nil {
			return err
		}
	}
	return nil
}

// item reads one of a list: *, a value or a range, each with or without a step.
func (f field) item(item string, add func(int)) error {
	span, stepText, stepped := strings.Cut(item, "/")
	from, to := f.min, f.max
	if span != "*" {
		low, high, ranged := strings.Cut(span, "-")
		var err error
		if from, err = f.value(item, low); err != nil {
			return err
		}
		switch {
		case ranged:
			if to, err = f.value(item, high); err != nil {
				return err
			}
		case !stepped:
			to = from
		}
	}
	step := 1
	if stepped {
		n, err := number(stepText)
		if err != nil || n < 1 || n > f.max {
			return f.bad(item, "the step %q is not a number from 1 to %d", stepText, f.max)
		}
		step = n
	}
	size := f.max - f.min + 1
	if to < from {
		if f.min == minYear {
			return f.bad(item, "the range ends before it begins")
		}
		to += size
	}
	for v := from; v <= to; v += step {
		add(f.min + (v-f.min)%size)
	}
	return nil
}

// value reads a number or a name. The whole item is for the error.
func (f field) value(item, text string) (int, error) {
	if i := slices.Index(f.names, strings.ToUpper(text)); i >= 0 {
		return f.min + i, nil
	}
	n, err := number(text)
	switch {
	case text == "?":
		return 0, f.bad(item, "? stands alone, and for the days only")
	case err != nil:
		return 0, f.bad(item, "%q is no value", text)
	case n < f.min || n > f.max:
		return 0, f.bad(item, "%d is not from %d to %d", n, f.min, f.max)
	}
	return n, nil
}

// parse reads the days of a month.
func (d *days) parse(text string) error {
	f := dayField()
	for item := range strings.SplitSeq(text, ",") {
		upper := strings.ToUpper(item)
		near, weekday := strings.CutSuffix(upper, "W")
		switch {
		case upper == "L":
			d.last = true
		case upper == "LW":
			d.lastWeekday = true
		case weekday:
			n, err := f.value(item, near)
			if err != nil {
				return err
			}
			d.nearest |= 1 << n
		case strings.Contains(upper, "L"):
			return f.bad(item, "L stands alone or before W")
		default:
			if err := f.set(item, &d.numbers); err != nil {
				return err
			}
		}
	}
	return nil
}

// parse reads the days of a week.
func (w *weekdays) parse(text string) error {
	f := weekdayField()
	if strings.Contains(text, "#") {
		return w.parseNth(f, text)
	}
	for item := range strings.SplitSeq(text, ",") {
		upper := strings.ToUpper(item)
		day, last := strings.CutSuffix(upper, "L")
		switch {
		case upper == "L":
			w.every |= 1 << f.max
		case last:
			n, err := f.value(item, day)
			if err != nil {
				return err
			}
			w.last |= 1 << n
		default:
			if err := f.set(item, &w.every); err != nil {
				return err
			}
		}
	}
	return nil
}

// parseNth reads 3#2, the second Tuesday of the month.
func (w *weekdays) parseNth(f field, text string) error {
	if strings.Contains(text, ",") {
		return f.bad(text, "with # there is one expression in the field")
	}
	day, nth, _ := strings.Cut(text, "#")
	var err error
	if w.day, err = f.value(text, day); err != nil {
		return err
	}
	if w.nth, err = number(nth); err != nil || w.nth < 1 || w.nth > 5 {
		return f.bad(text, "after # comes a number from 1 to 5")
	}
	return nil
}
