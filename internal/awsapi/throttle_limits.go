package awsapi

// Limit is where a bucket starts: a rate in calls a second, and how many may be
// made at once.
type Limit struct {
	PerSecond float64 `yaml:"rate"`
	Burst     int     `yaml:"burst"`
}

// limits say where each bucket starts.
type limits struct {
	start Limit            // of services that nothing is known of
	own   map[string]Limit // configured, by service or service:operation
}

// of gives the name and the limit of the bucket that an operation is counted in:
// what is configured for it, what AWS documents, the start of all. A start that
// was lowered also lowers what is documented above it.
func (l limits) of(service, operation string) (string, Limit) {
	for _, name := range []string{service + ":" + operation, service} {
		if own, ok := l.own[name]; ok {
			return name, own
		}
		if d, ok := documented[name]; ok {
			if d.PerSecond > l.start.PerSecond && l.start.PerSecond < defaultLimit.PerSecond {
				d = l.start
			}
			return name, d
		}
	}
	return service, l.start
}

// defaultLimit is where a bucket starts that nothing is known of.
var defaultLimit = Limit{50, 100}

// documented are limits that AWS states for a service, or for one operation that
// it counts apart, per account and region. Listed is what lies below the default
// and what Parry calls most; anything else is found out by asking.
var documented = map[string]Limit{
	// AWS STS quotas: 600 requests a second. Every account is entered through it.
	"sts": {300, 600},
	// CloudTrail API reference: two a second; its other reads ten, the rest one.
	"cloudtrail:LookupEvents":     {2, 2},
	"cloudtrail:ListInsightsData": {2, 2},
	"cloudtrail":                  {10, 10},
	// Security Hub API reference.
	"securityhub:GetFindings":            {3, 6},
	"securityhub:BatchEnableStandards":   {1, 1},
	"securityhub:UpdateFindings":         {1, 5},
	"securityhub:UpdateStandardsControl": {1, 5},
	"securityhub":                        {10, 30},
	// Amazon SQS message quotas: a standard queue has no limit of calls.
	"sqs": {1000, 1000},
	// Account Management quotas: the least of its reads.
	"account": {3, 3},
	// Service Quotas quotas.
	"service-quotas": {5, 5},
	// CloudWatch Logs API reference: the least of its describes and changes.
	"logs": {5, 5},
	// AWS Organizations has no table of rates; it turns away faster callers.
	"organizations": {10, 15},
}
