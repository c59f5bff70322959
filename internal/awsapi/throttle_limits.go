package awsapi

// limit is where a bucket starts.
type limit struct {
	perSecond float64
	burst     int
}

// of gives the name and the limit of the bucket that an operation is counted in.
// A documented limit that is lower than l wins; one that is higher raises only
// what no configuration has lowered.
func (l limit) of(service, operation string) (string, limit) {
	if d, ok := documented[service+":"+operation]; ok {
		return service + ":" + operation, l.with(d)
	}
	if d, ok := documented[service]; ok {
		return service, l.with(d)
	}
	return service, l
}

func (l limit) with(d limit) limit {
	if d.perSecond > l.perSecond && l.perSecond < defaultLimit.perSecond {
		return l
	}
	return d
}

// defaultLimit is where a bucket starts that nothing is known of.
var defaultLimit = limit{50, 100}

// documented are limits that AWS states for a service, or for one operation that
// it counts apart, per account and region. Listed is what lies below the default
// and what Parry calls most; anything else is found out by asking.
var documented = map[string]limit{
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
	// Account Management quotas: the least of its reads.
	"account": {3, 3},
	// Service Quotas quotas.
	"service-quotas": {5, 5},
	// CloudWatch Logs API reference: the least of its describes and changes.
	"logs": {5, 5},
	// AWS Organizations has no table of rates; it turns away faster callers.
	"organizations": {10, 15},
}
