package events_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/parry-security/parry/internal/route"
)

// BenchmarkPutEvents is what the API itself costs: ten events of 4 KB, checked and handed
// on.
func BenchmarkPutEvents(b *testing.B) {
	p, h := setup(b)
	detail := fmt.Sprintf(`{\"items\":[%s{\"n\":1}]}`, strings.Repeat(`{\"name\":\"a thing of the shop\",\"price\":12.5},`, 72))
	one := `{"Source":"shop","DetailType":"Sold","Detail":"` + detail + `"}`
	body := []byte(`{"Entries":[` + strings.TrimSuffix(strings.Repeat(one+",", 10), ",") + `]}`)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		p.entries = map[string][]route.Entry{}
		if _, err := h.Answer(b.Context(), admin(), "PutEvents", body); err != nil {
			b.Fatal(err)
		}
	}
}
