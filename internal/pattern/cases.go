package pattern

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/parry-security/parry/internal/fault"
)

// maxCaseLine bounds one line of a case file: a pattern and an event with every
// byte escaped, and room for the rest.
const maxCaseLine = 6*(MaxEventBytes+MaxPatternBytes) + 64<<10

// Report counts what became of the cases of a file.
type Report struct {
	Total     int `json:"total"` // with quirks
	Agreed    int `json:"agreed"`
	Quirks    int `json:"quirks"` // known oddities of the reference, not judged
	Disagreed int `json:"disagreed"`
}

// testCase is one line of a case file. Pattern and event are strings that hold
// the exact JSON text.
type testCase struct {
	ID         string `json:"id"`
	Pattern    string `json:"pattern"`
	Event      string `json:"event"`
	Match      bool   `json:"match"`
	Error      bool   `json:"error"`       // the pattern must be refused
	EventError bool   `json:"event_error"` // the event must be refused
	Quirk      string `json:"quirk"`
}

// RunCases judges every case of r, one JSON object a line, and writes each
// disagreement and then the count to w. The error is about reading or writing,
// or a line that is no case.
func RunCases(r io.Reader, w io.Writer) (Report, error) {
	const op = "run pattern cases"
	var rep Report
	lines := lineReader{r: bufio.NewReaderSize(r, 64<<10), limit: maxCaseLine}
	for n := 1; ; n++ {
		line, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return rep, fault.Errorf(fault.CodeOf(err), op, "line %d: %w", n, err)
		}
		if len(line) == 0 {
			continue
		}
		var c testCase
		if err := json.Unmarshal(line, &c); err != nil {
			return rep, fault.Errorf(fault.Invalid, op, "line %d: %w", n, err).
				WithHint(`a line is {"id": …, "pattern": "…", "event": "…", "match": true}`)
		}
		rep.Total++
		if c.Quirk != "" {
			rep.Quirks++
			continue
		}
		want, got := c.want(), c.run()
		if want == got {
			rep.Agreed++
			continue
		}
		rep.Disagreed++
		if _, err := fmt.Fprintf(w, "%s: want %s, got %s\n  pattern %q\n  event   %q\n", printable(c.ID, 100), want, got, short(c.Pattern, 1000), short(c.Event, 1000)); err != nil {
			return rep, fault.E(fault.Internal, op, err)
		}
	}
	_, err := fmt.Fprintf(w, "%d cases: %d agree, %d disagree, %d known oddities left out\n", rep.Total, rep.Agreed, rep.Disagreed, rep.Quirks)
	if err != nil {
		return rep, fault.E(fault.Internal, op, err)
	}
	return rep, nil
}

const (
	verdictRefused = "pattern refused"
	verdictEvent   = "event refused"
)

func (c testCase) want() string {
	switch {
	case c.Error:
		return verdictRefused
	case c.EventError:
		return verdictEvent
	default:
		return fmt.Sprint(c.Match)
	}
}

func (c testCase) run() string {
	p, err := Parse([]byte(c.Pattern))
	if err != nil {
		return verdictRefused
	}
	if c.Error {
		return "pattern accepted"
	}
	ok, err := p.Match([]byte(c.Event))
	if err != nil {
		return verdictEvent
	}
	return fmt.Sprint(ok)
}

// RunEvents matches every line of r, one event each, and writes one line for
// each to w: true, false, or "error: " and the reason. Empty lines are left out.
func RunEvents(p *Pattern, r io.Reader, w io.Writer) error {
	const op = "run events"
	lines := lineReader{r: bufio.NewReaderSize(r, 64<<10), limit: MaxEventBytes + 2}
	out := bufio.NewWriter(w)
	for {
		line, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !errors.Is(err, errLongLine) {
			return fault.E(fault.Unavailable, op, err)
		}
		if err == nil && len(line) == 0 {
			continue
		}
		if err := writeVerdict(out, p, line, err); err != nil {
			return fault.E(fault.Internal, op, err)
		}
	}
	if err := out.Flush(); err != nil {
		return fault.E(fault.Internal, op, err)
	}
	return nil
}

func writeVerdict(w io.Writer, p *Pattern, line []byte, err error) error {
	ok := false
	if err == nil {
		ok, err = p.Match(line)
	}
	if err != nil {
		_, err = fmt.Fprintf(w, "error: %s\n", printable(err.Error(), 1000))
		return err
	}
	_, err = fmt.Fprintln(w, ok)
	return err
}

// printable makes text of a file safe for one line of a terminal.
func printable(s string, n int) string {
	out := []rune(short(s, n))
	for i, r := range out {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			out[i] = ' '
		}
	}
	return string(out)
}

var errLongLine = errors.New("the line is longer than the limit")

// lineReader reads lines of a bounded length. A longer line is an error, after
// which the next line can be read.
type lineReader struct {
	r     *bufio.Reader
	limit int
}

// next gives a line without white space around it.
func (l *lineReader) next() ([]byte, error) {
	var line []byte
	long, some := false, false
	for {
		part, err := l.r.ReadSlice('\n')
		some = some || len(part) > 0
		if long = long || len(line)+len(part) > l.limit; !long {
			line = append(line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && !errors.Is(err, io.EOF):
			return nil, err
		case err != nil && !some:
			return nil, io.EOF
		case long:
			return nil, fault.E(fault.Invalid, "", errLongLine)
		}
		return bytes.TrimSpace(line), nil
	}
}
