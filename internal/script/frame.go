package script

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Limits of the structure of a message, whatever its size: JSON of a few
// megabytes can be made to need hundreds when it is read.
const (
	maxDepth = 300
	maxNodes = 400_000
)

var (
	errFrame = errors.New("frame is larger than the limit")
	errShape = errors.New("message is nested too deep or has too many members")
)

// readFrame reads one message of at most limit bytes. The memory for it is taken
// as it comes, not as its head announces it.
func readFrame(r io.Reader, limit int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if int64(size) > int64(limit) {
		return nil, fmt.Errorf("%w: %d bytes of %d", errFrame, size, limit)
	}
	var raw []byte
	for len(raw) < int(size) {
		from := len(raw)
		raw = append(raw, make([]byte, min(int(size)-from, 64<<10))...)
		if _, err := io.ReadFull(r, raw[from:]); err != nil {
			return nil, io.ErrUnexpectedEOF
		}
	}
	return raw, bounded(raw)
}

// bounded counts nesting and members of JSON without reading it.
func bounded(raw []byte) error {
	depth, nodes := 0, 0
	text, escaped := false, false
	for _, c := range raw {
		switch {
		case escaped:
			escaped = false
		case text:
			escaped, text = c == '\\', c != '"'
		case c == '"':
			text = true
		case c == '{' || c == '[':
			depth++
			nodes++
		case c == '}' || c == ']':
			depth--
		case c == ',':
			nodes++
		}
		if depth > maxDepth || nodes > maxNodes {
			return errShape
		}
	}
	return nil
}

// writeFrame writes one message.
func writeFrame(w io.Writer, raw []byte, limit int) error {
	if len(raw) > limit {
		return fmt.Errorf("%w: %d bytes of %d", errFrame, len(raw), limit)
	}
	out := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(raw)), uint32(len(raw)))
	_, err := w.Write(append(out, raw...))
	return err
}
