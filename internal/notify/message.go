package notify

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/parry-security/parry/internal/bus"
)

// Message is what a channel is given.
type Message struct {
	// ID is "ntf-" and 32 hexadecimal digits, the same for every try.
	ID      string
	Subject string // one line
	Body    string // plain text, lines ended by "\n"
	At      time.Time
	Event   bus.Event
}

// messageID follows from the event and the channel only.
func messageID(event, channel string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d:%s,%s", len(event), event, channel))
	return "ntf-" + hex.EncodeToString(sum[:16])
}
