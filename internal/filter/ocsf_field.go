package filter

import (
	"maps"
	"slices"
	"strings"
)

// OCSFField gives the field of OcsfFindingFilters with this name among those of
// kind. The names are those of AWS's model:
// https://docs.aws.amazon.com/securityhub/1.0/APIReference/API_OcsfFindingFilters.html
func OCSFField(kind Kind, name string) (Field, bool) {
	f, ok := ocsfFields[kind][name]
	return f, ok
}

// ocsfFields is built once and never written.
var ocsfFields = buildOCSFFields()

func buildOCSFFields() map[Kind]map[string]Field {
	out := map[Kind]map[string]Field{}
	for kind, names := range map[Kind]string{
		String: ocsfStrings, Date: ocsfDates, Boolean: ocsfBooleans, Number: ocsfNumbers, Map: ocsfMaps, IP: ocsfIPs,
	} {
		out[kind] = map[string]Field{}
		for name := range strings.FieldsSeq(names) {
			out[kind][name] = Field{Name: name, Kind: kind, Paths: [][]string{strings.Split(name, ".")}, OCSF: true}
		}
	}
	return out
}

const (
	ocsfStrings = `
metadata.uid activity_name cloud.account.uid cloud.provider cloud.region compliance.assessments.category compliance.assessments.name
compliance.control compliance.status compliance.standards finding_info.desc finding_info.src_url finding_info.title finding_info.types
finding_info.uid finding_info.related_events.traits.category finding_info.related_events.uid finding_info.related_events.product.uid
finding_info.related_events.title metadata.product.name metadata.product.uid metadata.product.vendor_name remediation.desc
remediation.references resources.cloud_partition resources.region resources.type resources.uid severity status comment
vulnerabilities.fix_coverage class_name databucket.encryption_details.algorithm databucket.encryption_details.key_uid
databucket.file.data_classifications.classifier_details.type evidences.actor.user.account.uid evidences.api.operation
evidences.api.response.error_message evidences.api.service.name evidences.connection_info.direction
evidences.connection_info.protocol_name evidences.dst_endpoint.autonomous_system.name evidences.dst_endpoint.location.city
evidences.dst_endpoint.location.country evidences.src_endpoint.autonomous_system.name evidences.src_endpoint.hostname
evidences.src_endpoint.location.city evidences.src_endpoint.location.country finding_info.analytic.name malware.name
malware_scan_info.uid malware.severity resources.cloud_function.layers.uid_alt resources.cloud_function.runtime
resources.cloud_function.user.uid resources.device.encryption_details.key_uid resources.device.image.uid
resources.image.architecture resources.image.registry_uid resources.image.repository_name resources.image.uid
resources.subnet_info.uid resources.vpc_uid vulnerabilities.affected_code.file.path vulnerabilities.affected_packages.name
vulnerabilities.cve.epss.score vulnerabilities.cve.uid vulnerabilities.related_vulnerabilities cloud.account.name
vendor_attributes.severity`
	ocsfDates = `
finding_info.created_time_dt finding_info.first_seen_time_dt finding_info.last_seen_time_dt finding_info.modified_time_dt
resources.image.created_time_dt resources.image.last_used_time_dt resources.modified_time_dt`
	ocsfBooleans = `
compliance.assessments.meets_criteria vulnerabilities.is_exploit_available vulnerabilities.is_fix_available`
	ocsfNumbers = `
activity_id compliance.status_id confidence_score severity_id status_id finding_info.related_events_count evidences.api.response.code
evidences.dst_endpoint.autonomous_system.number evidences.dst_endpoint.port evidences.src_endpoint.autonomous_system.number
evidences.src_endpoint.port resources.image.in_use_count vulnerabilities.cve.cvss.base_score vendor_attributes.severity_id`
	ocsfMaps = `
resources.tags compliance.control_parameters databucket.tags finding_info.tags`
	ocsfIPs = `
evidences.dst_endpoint.ip evidences.src_endpoint.ip`
)

// OCSFFields lists the names of the fields of kind.
func OCSFFields(kind Kind) []string {
	return slices.Sorted(maps.Keys(ocsfFields[kind]))
}
