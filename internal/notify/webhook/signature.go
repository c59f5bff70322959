package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/parry-security/parry/internal/fault"
)

// The headers of a delivery.
const (
	// HeaderSignature holds "t=<unix seconds>,v1=<hexadecimal HMAC-SHA256>" over
	// the seconds, a full stop and the body.
	HeaderSignature = "Parry-Signature"
	// HeaderID holds the notification's ID.
	HeaderID = "Parry-Notification"
)

// Tolerance is how far a receiver's clock may be from the signature's time.
const Tolerance = 5 * time.Minute

// Sign gives the value of HeaderSignature.
func Sign(secret []byte, at time.Time, body []byte) string {
	s := newSigner(secret)
	return s.sign(at, body)
}

// signer keeps what signing needs from one body to the next.
type signer struct{ macs *sync.Pool }

func newSigner(secret []byte) signer {
	return signer{&sync.Pool{New: func() any { return hmac.New(sha256.New, secret) }}}
}

func (s signer) sign(at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	return "t=" + t + ",v1=" + hex.EncodeToString(s.sum(t, body))
}

func (s signer) sum(t string, body []byte) []byte {
	mac, _ := s.macs.Get().(hash.Hash)
	defer s.macs.Put(mac)
	mac.Reset()
	_, _ = io.WriteString(mac, t) // a hash never fails
	_, _ = io.WriteString(mac, ".")
	_, _ = mac.Write(body)
	return mac.Sum(nil)
}

// Verify is what a receiver does: it refuses a signature that is wrong or older
// than Tolerance at now.
func Verify(secret []byte, now time.Time, header string, body []byte) error {
	const op = "verify signature"
	t, v1, ok := strings.Cut(header, ",")
	t, isTime := strings.CutPrefix(t, "t=")
	v1, isSum := strings.CutPrefix(v1, "v1=")
	if !ok || !isTime || !isSum {
		return fault.Errorf(fault.Invalid, op, "the header is not t=…,v1=…")
	}
	seconds, err := strconv.ParseInt(t, 10, 64)
	if err != nil {
		return fault.Errorf(fault.Invalid, op, "the time is no number")
	}
	given, err := hex.DecodeString(v1)
	if err != nil || !hmac.Equal(given, newSigner(secret).sum(t, body)) {
		return fault.Errorf(fault.Denied, op, "the signature does not fit the body")
	}
	if d := now.Sub(time.Unix(seconds, 0)); d > Tolerance || d < -Tolerance {
		return fault.Errorf(fault.Denied, op, "the signature is %s away from now", d.Round(time.Second))
	}
	return nil
}
