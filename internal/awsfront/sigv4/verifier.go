package sigv4

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/parry-security/parry/internal/auth"
	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/service"
	"github.com/parry-security/parry/internal/store"
)

const (
	// Skew is how far a signature's time may be from the clock, as in AWS.
	Skew = 5 * time.Minute
	// DefaultInFlight bounds the bytes of all bodies being read or handled.
	DefaultInFlight = 128 << 20
	dateFormat      = "20060102T150405Z"
)

// Keyring finds the principal and the secret of an access key. An unknown key
// answers with code not_found.
type Keyring interface {
	Find(ctx context.Context, accessKeyID string) (auth.Principal, store.Secret, error)
}

// Signatures remembers signatures until they are no longer valid. It answers
// true for one that it has seen.
type Signatures interface {
	SeenSignature(ctx context.Context, signature string, until time.Time) (bool, error)
}

// Config is what New needs.
type Config struct {
	Keys       Keyring    // required
	Signatures Signatures // required
	// NotBefore is since when Signatures remembers: a request that changes something and
	// was signed before is refused. Default: for ever.
	NotBefore time.Time
	Clock     service.Clock // default: the system's
	// InFlight bounds the bytes of all bodies together. Default: DefaultInFlight.
	InFlight int64
}

// Verifier verifies requests. It is safe for concurrent use.
type Verifier struct {
	cfg  Config
	room *room
}

// New makes a Verifier.
func New(cfg Config) (*Verifier, error) {
	if cfg.Keys == nil || cfg.Signatures == nil {
		return nil, fault.Errorf(fault.Internal, "make signature verifier", "keys and signatures are required")
	}
	if cfg.Clock == nil {
		cfg.Clock = service.SystemClock{}
	}
	if cfg.InFlight <= 0 {
		cfg.InFlight = DefaultInFlight
	}
	return &Verifier{cfg: cfg, room: &room{left: cfg.InFlight}}, nil
}

// Identity is what a verified request proves.
type Identity struct {
	Principal auth.Principal
	Region    string
	Service   string
	// Body is the whole body.
	Body []byte
	// Release gives the room of the body back; call it when the request is
	// done. It may be called twice.
	Release func()

	signature string
	signedAt  time.Time
}

// Verify checks that r was signed, as auth says, by a key that is in force,
// within the last minutes, over exactly this body of at most maxBody bytes.
func (v *Verifier) Verify(r *http.Request, a Authorization, maxBody int64) (*Identity, *Failure) {
	date, at, f := signedAt(r, a)
	if f != nil {
		return nil, f
	}
	if f := v.checkClock(date, at); f != nil {
		return nil, f
	}
	if f := checkForm(r, a); f != nil {
		return nil, f
	}
	principal, secret, f := v.find(r.Context(), a.KeyID)
	if f != nil {
		return nil, f
	}
	body, hash, release, f := v.read(r, maxBody)
	if f != nil {
		return nil, f
	}
	if f := v.compare(r, a, date, secret, hash); f != nil {
		release()
		return nil, f
	}
	return &Identity{
		Principal: principal, Region: a.Region, Service: a.Service, Body: body, Release: release,
		signature: a.KeyID + "/" + a.Signature, signedAt: at,
	}, nil
}

// Once lets the first request with this signature through and refuses every
// other within its validity. It is for requests that change something. If the
// signatures cannot be read, nothing is let through.
func (v *Verifier) Once(ctx context.Context, id *Identity) *Failure {
	if id.signedAt.Before(v.cfg.NotBefore) {
		return fail(Replayed, "The request was signed before the database was restored from a backup, so nobody can tell whether it was accepted already. "+
			"Nothing was done. Sign the request again to repeat it.")
	}
	// One second more than the validity, so that no rounding leaves a gap.
	seen, err := v.cfg.Signatures.SeenSignature(ctx, id.signature, id.signedAt.Add(Skew+time.Second))
	switch {
	case err != nil:
		return &Failure{Kind: Unavailable, Message: "The signature could not be recorded, so nothing was done. Try again.", Err: err}
	case seen:
		return fail(Replayed, "A request with this signature was accepted already, and a request that changes something is accepted once. "+
			"Nothing was done. Sign the request again at a later second to repeat it.")
	}
	return nil
}

// signedAt reads the time of the signature: X-Amz-Date, else Date.
func signedAt(r *http.Request, a Authorization) (string, time.Time, *Failure) {
	var at time.Time
	var err error
	values := r.Header.Values("X-Amz-Date")
	switch {
	case len(values) > 1:
		return "", at, fail(Incomplete, "The request holds 'X-Amz-Date' twice.")
	case len(values) == 1:
		if at, err = time.Parse(dateFormat, values[0]); err != nil {
			return "", at, fail(Incomplete, "Date must be in ISO-8601 'basic format'. Got a text of %d bytes. See http://en.wikipedia.org/wiki/ISO_8601", len(values[0]))
		}
		if !slices.Contains(a.SignedHeaders, "x-amz-date") {
			return "", at, fail(Mismatch, "'X-Amz-Date' must be a 'SignedHeader' in the AWS Authorization.")
		}
	default:
		value := r.Header.Get("Date")
		if value == "" {
			return "", at, fail(Incomplete, "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
		}
		if at, err = http.ParseTime(value); err != nil {
			if at, err = time.Parse(dateFormat, value); err != nil {
				return "", at, fail(Incomplete, "The 'Date' header is not a date.")
			}
		}
		if !slices.Contains(a.SignedHeaders, "date") {
			return "", at, fail(Mismatch, "'Date' must be a 'SignedHeader' in the AWS Authorization.")
		}
	}
	at = at.UTC()
	date := at.Format(dateFormat)
	if day := date[:8]; day != a.Date {
		return "", at, fail(Mismatch, "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '%s' != '%s', from '%s'.", a.Date, day, date)
	}
	return date, at, nil
}

func (v *Verifier) checkClock(date string, at time.Time) *Failure {
	now := v.cfg.Clock.Now().UTC()
	switch {
	case at.Before(now.Add(-Skew)):
		return fail(Skewed, "Signature expired: %s is now earlier than %s (%s - 5 min.)", date, now.Add(-Skew).Format(dateFormat), now.Format(dateFormat))
	case at.After(now.Add(Skew)):
		return fail(Skewed, "Signature not yet current: %s is still later than %s (%s + 5 min.)", date, now.Add(Skew).Format(dateFormat), now.Format(dateFormat))
	}
	return nil
}

// checkForm refuses what Parry does not take, before anything is looked up.
func checkForm(r *http.Request, a Authorization) *Failure {
	for name, values := range r.Header {
		low := strings.ToLower(name)
		if strings.HasPrefix(low, "x-amz-") && !slices.Contains(a.SignedHeaders, low) {
			return fail(Mismatch, "There were headers present in the request which were not signed: '%s'.", low)
		}
		switch low {
		case "x-amz-security-token":
			return fail(UnknownKey, "The security token included in the request is invalid. Keys of Parry have no session token.")
		case "x-amz-content-sha256":
			if len(values) != 1 || len(values[0]) != 64 {
				return fail(Mismatch, "The payload must be signed: 'x-amz-content-sha256' must be the SHA-256 of the body, not %q.", clip(values[0]))
			}
		}
	}
	return nil
}

func clip(s string) string {
	if len(s) > 64 {
		return s[:64]
	}
	return s
}

func (v *Verifier) find(ctx context.Context, keyID string) (auth.Principal, store.Secret, *Failure) {
	principal, secret, err := v.cfg.Keys.Find(ctx, keyID)
	switch {
	case err == nil:
		return principal, secret, nil
	case fault.Is(err, fault.NotFound):
		return principal, "", &Failure{Kind: UnknownKey, Message: "The security token included in the request is invalid.", Err: err}
	default:
		return principal, "", &Failure{Kind: Unavailable, Message: "The access keys could not be read. Try again.", Err: err}
	}
}

// read takes the body in, hashing it, and refuses one that is too large before
// it holds it whole.
func (v *Verifier) read(r *http.Request, limit int64) ([]byte, string, func(), *Failure) {
	if r.ContentLength > limit {
		discard(r.Body, limit)
		return nil, "", nil, tooLarge(limit)
	}
	weight := r.ContentLength
	if weight < 0 {
		weight = limit
	}
	if !v.room.take(weight) {
		return nil, "", nil, fail(Busy, "Too many requests are being received at the moment. Try again.")
	}
	release := sync.OnceFunc(func() { v.room.give(weight) })
	body, err := readAll(r, limit)
	if err != nil {
		release()
		return nil, "", nil, &Failure{Kind: Malformed, Message: "The body ended early.", Err: err}
	}
	if int64(len(body)) > limit {
		release()
		discard(r.Body, limit)
		return nil, "", nil, tooLarge(limit)
	}
	hash := sha256.Sum256(body)
	return body, hex.EncodeToString(hash[:]), release, nil
}

// readAll reads a body, one byte more than the limit at most. The room for one whose
// length was said is made at once.
func readAll(r *http.Request, limit int64) ([]byte, error) {
	if r.ContentLength < 0 {
		return io.ReadAll(io.LimitReader(r.Body, limit+1))
	}
	body := make([]byte, r.ContentLength)
	_, err := io.ReadFull(r.Body, body)
	return body, err
}

// discard reads on for a while without keeping anything: a client that is still
// sending would see a broken connection instead of the answer.
func discard(body io.Reader, limit int64) {
	_, _ = io.CopyN(io.Discard, body, 4*limit) // The request is refused whatever becomes of the rest.
}

func tooLarge(limit int64) *Failure {
	return fail(TooLarge, "Request must be smaller than %d bytes. Send it in smaller parts.", limit)
}

func (v *Verifier) compare(r *http.Request, a Authorization, date string, secret store.Secret, bodyHash string) *Failure {
	if said := r.Header.Get("X-Amz-Content-Sha256"); said != "" && said != bodyHash {
		return fail(Mismatch, "The provided 'x-amz-content-sha256' header does not match what was computed.")
	}
	canonical, f := canonicalRequest(r, a.SignedHeaders, bodyHash)
	if f != nil {
		return f
	}
	given, err := hex.DecodeString(a.Signature)
	if err != nil {
		return &Failure{Kind: Incomplete, Message: "The signature is not hexadecimal.", Err: err}
	}
	if !hmac.Equal(given, sign(secret.Reveal(), canonical, date, a)) {
		return &Failure{Kind: Mismatch, Message: "The request signature we calculated does not match the signature you provided. " +
			"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.", Err: errors.New("signature mismatch")}
	}
	return nil
}
