package awsapi

import (
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/parry-security/parry/internal/service"
)

func TestThrottleAdapts(t *testing.T) {
	t.Parallel()
	clock := service.NewFixedClock(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC))
	th := newThrottle(40, 80, clock.Now)
	key := throttleKey{"111122223333", "us-east-1", "iam"}
	other := throttleKey{"444455556666", "us-east-1", "iam"}
	limit := func(k throttleKey) rate.Limit { return th.bucket(k).limiter.Limit() }

	th.saw(key, true)
	th.saw(key, true) // the same storm
	if got := limit(key); got != 20 {
		t.Errorf("after a storm: %v per second, want 20", got)
	}
	if got := limit(other); got != 40 {
		t.Errorf("another account was slowed to %v", got)
	}
	for range 20 {
		clock.Advance(2 * time.Second)
		th.saw(key, true)
	}
	if got := limit(key); got != minRate {
		t.Errorf("after many storms: %v, want %v", got, minRate)
	}
	for range 200 {
		th.saw(key, false)
	}
	if got, burst := limit(key), th.bucket(key).limiter.Burst(); got != 40 || burst != 80 {
		t.Errorf("after many successes: %v with burst %d, want 40 and 80", got, burst)
	}
	if err := th.wait(t.Context(), key); err != nil {
		t.Error(err)
	}
}

func TestThrottleForgetsWhatIsNotThrottled(t *testing.T) {
	t.Parallel()
	th := newThrottle(40, 80, time.Now)
	slow := throttleKey{account: "slow"}
	th.saw(slow, true)
	for i := range maxBuckets + 10 {
		th.bucket(throttleKey{account: string(rune(i)), region: time.Duration(i).String()})
	}
	if len(th.buckets) > maxBuckets || th.buckets[slow] == nil {
		t.Errorf("%d buckets, slow one kept: %v", len(th.buckets), th.buckets[slow] != nil)
	}
}
