package file

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/parry-security/parry/internal/fault"
)

// The limits of a file.
const (
	// MaxDocument is the longest document, and the longest line.
	MaxDocument = 512 << 10
	// MaxBytes is how much is read, after it is uncompressed.
	MaxBytes = 4 << 30
	// MaxDocuments is how many documents a file may hold.
	MaxDocuments = 5_000_000
)

// Document is one document of a file.
type Document struct {
	Text []byte
	// Line is where it begins, from 1; Number which document it is, from 1.
	Line, Number int
	// Problem is why Text is no document: it is too long or no text. "" for a good one.
	Problem string
}

// Each calls yield for every document of r, in order. It stops at the first
// error of yield and gives it. Text is valid until yield returns.
func Each(r io.Reader, yield func(Document) error) error {
	const op = "read file"
	in := bufio.NewReaderSize(r, 64<<10)
	if head, _ := in.Peek(2); bytes.Equal(head, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(in)
		if err != nil {
			return fault.Errorf(fault.Invalid, op, "it begins like gzip and is none: %w", err)
		}
		in = bufio.NewReaderSize(z, 64<<10)
	}
	if bom, _ := in.Peek(3); bytes.Equal(bom, []byte("\xef\xbb\xbf")) {
		_, _ = in.Discard(3) // peeked
	}
	s := &scan{in: in, line: 1, yield: yield}
	c, err := s.skipSpace()
	switch {
	case errors.Is(err, io.EOF):
		return fault.Errorf(fault.Invalid, op, "it is empty")
	case err != nil:
		return s.broken(err)
	case c == '[':
		return s.list()
	}
	return s.documents()
}

// scan reads a file once, from front to back.
type scan struct {
	in    *bufio.Reader
	line  int
	read  int64
	count int
	yield func(Document) error
}

func (s *scan) byte() (byte, error) {
	if s.read++; s.read > MaxBytes {
		return 0, fmt.Errorf("it has more than %d bytes uncompressed", int64(MaxBytes))
	}
	c, err := s.in.ReadByte()
	if c == '\n' {
		s.line++
	}
	return c, err
}

// skipSpace gives the next byte that is no white space and leaves it there.
func (s *scan) skipSpace() (byte, error) {
	for {
		c, err := s.byte()
		if err != nil {
			return 0, err
		}
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			s.read--
			return c, s.in.UnreadByte()
		}
	}
}

func (s *scan) broken(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fault.Errorf(fault.Invalid, "read file", "line %d: %w", s.line, err)
}

func (s *scan) give(d Document) error {
	if s.count++; s.count > MaxDocuments {
		return fault.Errorf(fault.Invalid, "read file", "it holds more than %d documents", MaxDocuments)
	}
	d.Number = s.count
	return s.yield(d)
}

// list gives the elements of the list that begins here.
func (s *scan) list() error {
	if _, err := s.byte(); err != nil {
		return s.broken(err)
	}
	for first := true; ; first = false {
		c, err := s.skipSpace()
		if err != nil {
			return s.broken(err)
		}
		if c == ']' {
			_, err := s.byte()
			return err
		}
		if !first {
			if c != ',' {
				return s.broken(fmt.Errorf("a comma or ] should follow a document, not %q", c))
			}
			if _, err := s.byte(); err != nil {
				return s.broken(err)
			}
			if _, err := s.skipSpace(); err != nil {
				return s.broken(err)
			}
		}
		line := s.line
		text, long, err := s.value(false)
		if err != nil {
			return s.broken(err)
		}
		if err := s.element(text, line, long); err != nil {
			return err
		}
	}
}

func (s *scan) element(text []byte, line int, long bool) error {
	d := Document{Text: text, Line: line}
	switch {
	case long:
		d.Problem = fmt.Sprintf("the document is longer than the limit of %d bytes", MaxDocument)
	case !utf8.Valid(text):
		// On its way to the server as JSON it would become another text.
		d.Problem = "the document is not UTF-8"
	}
	return s.give(d)
}

// value reads one JSON value by its brackets and quotes; the decoder of the
// document says what else is wrong with it. One that is too long is read to its
// end and cut. In a file of one document a line, one that breaks off must not
// swallow the lines behind it: lines ends it where a line begins with a brace,
// and at the end of a line in the middle of a text.
func (s *scan) value(lines bool) (text []byte, long bool, err error) {
	depth, inString, escaped := 0, false, false
	for {
		c, err := s.byte()
		if err != nil {
			return text, long, err
		}
		switch {
		case lines && c == '\n' && (inString || s.next() == '{'):
			return text, long, nil
		case escaped:
			escaped = false
		case inString && c == '\\':
			escaped = true
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			depth++
		case depth == 0 && bytes.IndexByte([]byte(",]} \t\r\n"), c) >= 0:
			s.read--
			if c == '\n' {
				s.line--
			}
			return text, long, s.in.UnreadByte()
		case c == '}' || c == ']':
			depth--
		}
		if len(text) < MaxDocument {
			text = append(text, c)
		} else {
			long = true
		}
		if depth == 0 && !inString && (c == '}' || c == ']' || c == '"') {
			return text, long, nil
		}
	}
}

// next gives the next byte and leaves it there, 0 at the end.
func (s *scan) next() byte {
	b, err := s.in.Peek(1)
	if err != nil {
		return 0
	}
	return b[0]
}

// documents gives documents that follow each other: one that is the whole file,
// perhaps with a list of findings in it, or one a line. A line that is no object
// is given alone, so that one bad line costs no other.
func (s *scan) documents() error {
	for {
		c, err := s.skipSpace()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return s.broken(err)
		}
		line := s.line
		if c != '{' {
			text, long, err := s.rest()
			if err != nil {
				return s.broken(err)
			}
			if err := s.element(text, line, long); err != nil {
				return err
			}
			continue
		}
		if err := s.object(line); err != nil {
			return err
		}
	}
}

// rest reads to the end of the line.
func (s *scan) rest() (text []byte, long bool, err error) {
	for {
		c, err := s.byte()
		if errors.Is(err, io.EOF) || err == nil && c == '\n' {
			return bytes.TrimSpace(text), long, nil
		}
		if err != nil {
			return nil, false, err
		}
		if len(text) < MaxDocument {
			text = append(text, c)
		} else {
			long = true
		}
	}
}

// object reads the object that begins here. A file that is one object may be
// large: its findings are in a list in it.
func (s *scan) object(line int) error {
	if s.count == 0 {
		wrapped, err := s.wrapped()
		if wrapped || err != nil {
			return err
		}
	}
	text, long, err := s.value(true)
	if err != nil && !errors.Is(err, io.EOF) {
		return s.broken(err)
	}
	return s.element(text, line, long)
}

// wrapped gives the findings of an object that has nothing before its list of
// them, as the AWS CLI prints GetFindings. It looks without taking.
func (s *scan) wrapped() (bool, error) {
	head, _ := s.in.Peek(256)
	rest := bytes.TrimLeft(head[1:], " \t\r\n")
	for _, name := range []string{`"Findings"`, `"findings"`} {
		after, ok := bytes.CutPrefix(rest, []byte(name))
		if !ok {
			continue
		}
		after = bytes.TrimLeft(after, " \t\r\n")
		after, ok = bytes.CutPrefix(after, []byte(":"))
		if !ok || len(bytes.TrimLeft(after, " \t\r\n")) == 0 || bytes.TrimLeft(after, " \t\r\n")[0] != '[' {
			return false, nil
		}
		n := len(head) - len(bytes.TrimLeft(after, " \t\r\n"))
		for range n {
			if _, err := s.byte(); err != nil {
				return true, s.broken(err)
			}
		}
		if err := s.list(); err != nil {
			return true, err
		}
		// What follows the list, such as NextToken, is no finding.
		for {
			if _, err := s.byte(); err != nil {
				if errors.Is(err, io.EOF) {
					return true, nil
				}
				return true, s.broken(err)
			}
		}
	}
	return false, nil
}
