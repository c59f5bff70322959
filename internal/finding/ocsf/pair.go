package ocsf

// pair is a member that both formats have and that is copied as it is, both ways.
type pair struct{ asff, ocsf string }

// pairs is the table of them, also in docs/ocsf.md.
func pairs() []pair {
	return []pair{
		{"Id", "finding_info.uid"},
		{"ProductArn", "metadata.product.uid"},
		{"ProductName", "metadata.product.name"},
		{"CompanyName", "metadata.product.vendor_name"},
		{"GeneratorId", "finding_info.analytic.uid"},
		{"AwsAccountId", "cloud.account.uid"},
		{"AwsAccountName", "cloud.account.name"},
		{"Region", "cloud.region"},
		{"Title", "finding_info.title"},
		{"Description", "finding_info.desc"},
		{"Types", "finding_info.types"},
		{"SourceUrl", "finding_info.src_url"},
		{"Confidence", "confidence_score"},
		{"Compliance.SecurityControlId", "compliance.control"},
		{"Compliance.RelatedRequirements", "compliance.requirements"},
		{"Remediation.Recommendation.Text", "remediation.desc"},
	}
}

// times is the table of times, which OCSF writes twice: as a number under this
// name, and as text under this name and "_dt".
func times() []pair {
	return []pair{
		{"CreatedAt", "finding_info.created_time"},
		{"UpdatedAt", "finding_info.modified_time"},
		{"FirstObservedAt", "finding_info.first_seen_time"},
		{"LastObservedAt", "finding_info.last_seen_time"},
		{"ProcessedAt", "metadata.processed_time"},
	}
}

// Mapped lists the members that are copied both ways: ASFF's, then OCSF's.
func Mapped() [][2]string {
	var out [][2]string
	for _, p := range pairs() {
		out = append(out, [2]string{p.asff, p.ocsf})
	}
	for _, p := range times() {
		out = append(out, [2]string{p.asff, p.ocsf})
	}
	return out
}
