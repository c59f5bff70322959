package backup

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"math/bits"
)

// maxRow bounds a row of an archive: the greatest that the store writes are plans and
// attachments of some MB.
const maxRow = 256 << 20

// The kinds of values in a row.
const (
	isNull = iota
	isInt
	isText
	isBytes
	isFloat
)

// appendRow writes values behind dst.
func appendRow(dst []byte, values []any) ([]byte, error) {
	for i, v := range values {
		switch v := v.(type) {
		case nil:
			dst = append(dst, isNull)
		case int64:
			dst = binary.AppendVarint(append(dst, isInt), v)
		case string:
			dst = append(binary.AppendUvarint(append(dst, isText), uint64(len(v))), v...)
		case []byte:
			dst = append(binary.AppendUvarint(append(dst, isBytes), uint64(len(v))), v...)
		case float64:
			dst = binary.BigEndian.AppendUint64(append(dst, isFloat), math.Float64bits(v))
		default:
			return nil, fmt.Errorf("value %d of the row is a %T, which no column holds", i+1, v)
		}
	}
	return dst, nil
}

var errRow = errors.New("a row is not written as rows are")

// parseRow reads the n values that appendRow wrote. They share raw's memory.
func parseRow(raw []byte, n int) ([]any, error) {
	values := make([]any, n)
	for i := range values {
		if len(raw) == 0 {
			return nil, errRow
		}
		kind := raw[0]
		raw = raw[1:]
		switch kind {
		case isNull:
		case isInt:
			v, size := binary.Varint(raw)
			if size <= 0 {
				return nil, errRow
			}
			values[i], raw = v, raw[size:]
		case isText, isBytes:
			length, size := binary.Uvarint(raw)
			if size <= 0 || length > uint64(len(raw)-size) {
				return nil, errRow
			}
			part := raw[size : size+int(length) : size+int(length)] //nolint:gosec // it is not longer than raw
			if raw = raw[size+int(length):]; kind == isText {       //nolint:gosec // as above
				values[i] = string(part)
			} else {
				values[i] = part
			}
		case isFloat:
			if len(raw) < 8 {
				return nil, errRow
			}
			values[i], raw = math.Float64frombits(binary.BigEndian.Uint64(raw)), raw[8:]
		default:
			return nil, errRow
		}
	}
	if len(raw) > 0 {
		return nil, errRow
	}
	return values, nil
}

// readRow reads the next row of a stream, each behind its length, and gives io.EOF
// only where a row would begin. The memory is the row's own.
func readRow(in *bufio.Reader) ([]byte, error) {
	length, err := binary.ReadUvarint(in)
	if err != nil {
		return nil, err
	}
	if length > maxRow {
		return nil, fmt.Errorf("a row says that it has %d bytes, more than %d", length, maxRow)
	}
	// What is not there must not be made room for.
	raw := make([]byte, 0, min(length, 64<<10))
	for uint64(len(raw)) < length {
		next := min(length-uint64(len(raw)), 64<<10)
		at := len(raw)
		raw = append(raw, make([]byte, next)...)
		if _, err := io.ReadFull(in, raw[at:]); err != nil {
			return nil, io.ErrUnexpectedEOF
		}
	}
	return raw, nil
}

// Sum is a digest of rows in no order: the sum of their SHA-256. It tells whether two
// databases hold the same; against forgery the archive has digests of another kind.
type Sum [4]uint64

// add counts a row in.
func (s *Sum) add(row []byte) {
	d := sha256.Sum256(row)
	var carry uint64
	for i := range s {
		s[i], carry = bits.Add64(s[i], binary.BigEndian.Uint64(d[8*i:]), carry)
	}
}

// String prints it in hexadecimal.
func (s Sum) String() string {
	var raw [32]byte
	for i, v := range s {
		binary.BigEndian.PutUint64(raw[8*i:], v)
	}
	return hex.EncodeToString(raw[:])
}
