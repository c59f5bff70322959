package guardduty

import (
	"strings"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/normalize/event"
)

// The names by which EventBridge tells GuardDuty's findings.
const (
	Source     = "aws.guardduty"
	DetailType = "GuardDuty Finding"
)

// Finding gives the ASFF document of the event's finding.
// https://docs.aws.amazon.com/guardduty/latest/ug/securityhub-integration.html
func Finding(e event.Event) (map[string]any, error) {
	d := e.Detail
	arn := d.Text("arn")
	if arn == "" || d.Text("type") == "" {
		return nil, fault.Errorf(fault.Invalid, "read GuardDuty finding", "the event names no finding: arn or type is missing")
	}
	if r := d.Text("region"); r != "" {
		e.Region = r
	}
	generator, _, _ := strings.Cut(arn, "/finding/")
	doc := e.Finding("guardduty", arn, generator, d.Text("accountId"), d.Text("title"), d.Text("description"), d.Time("createdAt"), d.Time("updatedAt"))
	service := d.Doc("service")
	event.Set(doc, "FirstObservedAt", service.Time("eventFirstSeen"))
	event.Set(doc, "LastObservedAt", service.Time("eventLastSeen"))
	doc["Severity"] = severity(d)
	doc["Types"] = []any{asffType(d.Text("type"))}
	doc["SourceUrl"] = "https://" + e.Region + ".console.aws.amazon.com/guardduty/home?region=" + e.Region + "#/findings?macros=current&fId=" + d.Text("id")
	if service.Bool("archived") {
		doc["RecordState"] = "ARCHIVED"
	}
	if service.Bool("additionalInfo", "sample") {
		doc["Sample"] = true
	}
	doc["Resources"] = resources(e)
	event.Set(doc, "Action", action(service.Doc("action")))
	doc["ProductFields"] = fields(service)
	return doc, nil
}

// severity reads GuardDuty's scale of 1 to 10.
// https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_findings-severity.html
func severity(d event.Doc) map[string]any {
	n, _ := d.Number("severity")
	label := "LOW"
	switch {
	case n >= 9:
		label = "CRITICAL"
	case n >= 7:
		label = "HIGH"
	case n >= 4:
		label = "MEDIUM"
	}
	return event.Severity(label, d.Text("severity"))
}

// fields keeps what the detector knows in product fields, what is asked for
// most before the rest, since ASFF has room for 50.
func fields(service event.Doc) event.Fields {
	f := event.Fields{}
	for _, path := range [][]string{
		{"serviceName"}, {"archived"}, {"count"}, {"detectorId"}, {"eventFirstSeen"}, {"eventLastSeen"}, {"resourceRole"}, {"featureName"}, {"action", "actionType"},
	} {
		f.Set("aws/guardduty/service/"+strings.Join(path, "/"), service.Text(path...))
	}
	for _, part := range []string{"action", "evidence", "additionalInfo", "runtimeDetails", "ebsVolumeScanDetails", "malwareScanDetails", "detection"} {
		f.Flatten("aws/guardduty/service/"+part, service.Doc(part))
	}
	return f
}

// action gives ASFF's Action of GuardDuty's, whose members differ in case only.
func action(a event.Doc) map[string]any {
	out := map[string]any{}
	event.Set(out, "ActionType", a.Text("actionType"))
	if c := a.Doc("networkConnectionAction"); c != nil {
		n := map[string]any{"Blocked": c.Bool("blocked")}
		event.Set(n, "ConnectionDirection", c.Text("connectionDirection"))
		event.Set(n, "Protocol", c.Text("protocol"))
		event.Set(n, "RemoteIpDetails", remote(c.Doc("remoteIpDetails")))
		event.Set(n, "RemotePortDetails", port(c.Doc("remotePortDetails")))
		event.Set(n, "LocalPortDetails", port(c.Doc("localPortDetails")))
		out["NetworkConnectionAction"] = n
	}
	if c := a.Doc("awsApiCallAction"); c != nil {
		n := map[string]any{}
		event.Set(n, "Api", c.Text("api"))
		event.Set(n, "ServiceName", c.Text("serviceName"))
		event.Set(n, "CallerType", c.Text("callerType"))
		event.Set(n, "RemoteIpDetails", remote(c.Doc("remoteIpDetails")))
		if domain := c.Text("domainDetails", "domain"); domain != "" {
			n["DomainDetails"] = map[string]any{"Domain": domain}
		}
		out["AwsApiCallAction"] = n
	}
	if c := a.Doc("dnsRequestAction"); c != nil {
		n := map[string]any{"Blocked": c.Bool("blocked")}
		event.Set(n, "Domain", c.Text("domain"))
		event.Set(n, "Protocol", c.Text("protocol"))
		out["DnsRequestAction"] = n
	}
	if c := a.Doc("portProbeAction"); c != nil {
		var probes []any
		for _, p := range c.Docs("portProbeDetails") {
			n := map[string]any{}
			event.Set(n, "LocalPortDetails", port(p.Doc("localPortDetails")))
			event.Set(n, "RemoteIpDetails", remote(p.Doc("remoteIpDetails")))
			if ip := p.Text("localIpDetails", "ipAddressV4"); ip != "" {
				n["LocalIpDetails"] = map[string]any{"IpAddressV4": ip}
			}
			probes = append(probes, n)
		}
		n := map[string]any{"Blocked": c.Bool("blocked")}
		event.Set(n, "PortProbeDetails", probes)
		out["PortProbeAction"] = n
	}
	return out
}

func remote(r event.Doc) map[string]any {
	out := map[string]any{}
	event.Set(out, "IpAddressV4", r.Text("ipAddressV4"))
	country := map[string]any{}
	event.Set(country, "CountryCode", r.Text("country", "countryCode"))
	event.Set(country, "CountryName", r.Text("country", "countryName"))
	event.Set(out, "Country", country)
	if city := r.Text("city", "cityName"); city != "" {
		out["City"] = map[string]any{"CityName": city}
	}
	geo := map[string]any{}
	for name, member := range map[string]string{"lat": "Lat", "lon": "Lon"} {
		if n, ok := r.Number("geoLocation", name); ok {
			geo[member] = n
		}
	}
	event.Set(out, "GeoLocation", geo)
	org := map[string]any{}
	if n, ok := r.Number("organization", "asn"); ok {
		org["Asn"] = int64(n)
	}
	event.Set(org, "AsnOrg", r.Text("organization", "asnOrg"))
	event.Set(org, "Isp", r.Text("organization", "isp"))
	event.Set(org, "Org", r.Text("organization", "org"))
	event.Set(out, "Organization", org)
	return out
}

func port(p event.Doc) map[string]any {
	out := map[string]any{}
	if n, ok := p.Number("port"); ok {
		out["Port"] = int64(n)
	}
	event.Set(out, "PortName", p.Text("portName"))
	return out
}
