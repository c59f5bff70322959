package app

import "testing"

func TestGarbageWaitsOnlyWhileMuchIsAllocated(t *testing.T) {
	const mb = 1 << 20
	for name, c := range map[string]struct {
		allocated, live uint64
		want            int
	}{
		"idle":                        {1 * mb, 10 * mb, 100},
		"busy":                        {200 * mb, 16 * mb, 300},
		"busy with very little live":  {200 * mb, 1 * mb, 984},
		"busy with nothing live yet":  {200 * mb, 0, 1000},
		"busy with half of it live":   {200 * mb, 32 * mb, 100},
		"busy with more than it live": {900 * mb, 300 * mb, 100},
	} {
		if got := gcPercent(c.allocated, c.live); got != c.want {
			t.Errorf("%s: gcPercent(%d, %d) = %d, want %d", name, c.allocated, c.live, got, c.want)
		}
	}
}
