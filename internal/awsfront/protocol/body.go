package protocol

import (
	"bytes"
	"io"
	"net/http"
)

// body is a request's body that is in memory.
type body struct {
	bytes.Reader
	raw []byte
}

func (b *body) Close() error { return nil }

// SetBody gives r a body that was read whole.
func SetBody(r *http.Request, raw []byte) {
	b := &body{raw: raw}
	b.Reset(raw)
	r.Body, r.ContentLength = b, int64(len(raw))
}

// ReadBody gives the whole body, which the front has bounded; where it was set by SetBody
// without a copy, so that nobody may change it.
func ReadBody(r *http.Request) ([]byte, error) {
	if b, ok := r.Body.(*body); ok {
		return b.raw, nil
	}
	return io.ReadAll(r.Body)
}
