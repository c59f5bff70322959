package target

import "time"

// RetryPolicy says how long a delivery that failed is tried again. nil and what is not
// set are AWS's defaults: 185 times, 24 hours.
type RetryPolicy struct {
	MaximumRetryAttempts     *int `json:"MaximumRetryAttempts,omitempty"`
	MaximumEventAgeInSeconds *int `json:"MaximumEventAgeInSeconds,omitempty"`
}

// Exhausted says which limit ended the retries, in AWS's words for the attribute
// EXHAUSTED_RETRY_CONDITION of a dead letter. Empty: none did.
type Exhausted string

// The conditions of AWS's page on dead-letter queues.
const (
	ExhaustedAttempts Exhausted = "MaximumRetryAttempts"
	ExhaustedAge      Exhausted = "MaximumEventAgeInSeconds"
)

// AWS backs off exponentially with jitter and does not publish the numbers. With these,
// 185 retries take some 22 hours on average, and so end about with the event's age.
const (
	backoffBase = time.Second
	backoffCap  = 900 * time.Second
)

// Retries is how often a delivery is tried again.
func (p *RetryPolicy) Retries() int {
	if p == nil || p.MaximumRetryAttempts == nil {
		return DefaultRetries
	}
	return *p.MaximumRetryAttempts
}

// Age is how old an event may be when it is tried again.
func (p *RetryPolicy) Age() time.Duration {
	if p == nil || p.MaximumEventAgeInSeconds == nil {
		return DefaultEventAge * time.Second
	}
	return time.Duration(*p.MaximumEventAgeInSeconds) * time.Second
}

// Next says after a failed delivery how long to wait before the next try, or which limit
// says that there is none. retries is how many there were, not counting the first
// delivery; age is that of the event; retryAfter is what the target asked for, if
// anything. random is from 0 up to 1: the wait is that part of a ceiling that doubles
// from a second to 15 minutes. The last try is at the latest when the event reaches its
// age.
func (p *RetryPolicy) Next(retries int, age time.Duration, random float64, retryAfter time.Duration) (time.Duration, Exhausted) {
	left := p.Age() - age
	switch {
	case retries >= p.Retries():
		return 0, ExhaustedAttempts
	case left <= 0 || retryAfter > left:
		return 0, ExhaustedAge
	}
	return min(max(backoff(retries, random), retryAfter), left), ""
}

func backoff(retries int, random float64) time.Duration {
	ceiling := backoffCap
	if retries < 10 { // 2^10 seconds are more than the cap
		ceiling = min(ceiling, backoffBase<<max(retries, 0))
	}
	return time.Duration(min(max(random, 0), 1) * float64(ceiling))
}

func (p *RetryPolicy) validate(id string) error {
	if p == nil {
		return nil
	}
	if n := p.Retries(); n < 0 || n > MaxRetries {
		return invalid("MaximumRetryAttempts of target %s is %d instead of 0 to %d", id, n, MaxRetries)
	}
	if p.MaximumEventAgeInSeconds != nil && (*p.MaximumEventAgeInSeconds < MinEventAge || *p.MaximumEventAgeInSeconds > MaxEventAge) {
		return invalid("MaximumEventAgeInSeconds of target %s is %d instead of %d to %d", id, *p.MaximumEventAgeInSeconds, MinEventAge, MaxEventAge)
	}
	return nil
}
