package ocsf

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/parry-security/parry/internal/fault"
	"github.com/parry-security/parry/internal/finding"
)

// complete makes doc, which holds what a foreign document said in so many words,
// a finding: it fills in what ASFF needs, from where OCSF has it, and cuts what
// is longer than ASFF allows. The document itself is kept beside.
func complete(o, doc object) error {
	if err := identify(o, doc); err != nil {
		return err
	}
	doc["Title"] = cut(first(o, "finding_info.title", "message", "class_name"), 256)
	doc["Description"] = cut(first(o, "finding_info.desc", "message", "finding_info.title", "class_name"), 1024)
	doc["GeneratorId"] = cut(first(o, "finding_info.analytic.uid", "metadata.event_code", "compliance.control", "finding_info.analytic.name",
		"metadata.product.feature.uid", "metadata.product.name", "class_name"), 512)
	if doc["GeneratorId"] == "" {
		doc["GeneratorId"] = "ocsf"
	}
	for name, most := range map[string]int{"ProductName": 128, "CompanyName": 128, "AwsAccountName": 50} {
		shorten(doc, name, most)
	}
	if url := text(doc, "SourceUrl"); url == "" {
		delete(doc, "SourceUrl")
	}
	if err := dates(o, doc); err != nil {
		return err
	}
	severity(o, doc)
	completeCompliance(o, doc)
	completeResources(o, doc)
	completeRest(o, doc)
	completeVulnerabilities(o, doc)
	completeNetwork(o, doc)
	return nil
}

// identify says which finding it is, and whose.
func identify(o, doc object) error {
	const op = "read OCSF"
	account := first(o, "cloud.account.uid")
	for _, r := range objects(o, "resources") {
		if account == "" {
			account = text(r, "owner.account.uid")
		}
	}
	if account == "" {
		return fault.Errorf(fault.Invalid, op, "cloud.account.uid is missing").WithHint("Parry keeps findings of AWS accounts only")
	}
	doc["AwsAccountId"] = account
	id := first(o, "finding_info.uid", "metadata.uid")
	if id == "" {
		return fault.Errorf(fault.Invalid, op, "finding_info.uid is missing").WithHint("give each finding a uid that stays the same")
	}
	if utf8.RuneCountInString(id) > 512 {
		// Told apart by what is cut off.
		sum := sha256.Sum256([]byte(id))
		id = string([]rune(id)[:440]) + "-" + hex.EncodeToString(sum[:16])
	}
	doc["Id"] = id
	region := text(o, "cloud.region")
	for _, r := range objects(o, "resources") {
		if region == "" {
			region = text(r, "region")
		}
	}
	if region == "" {
		region = "aws-global"
	}
	doc["Region"] = cut(region, 16)
	doc["ProductArn"] = productARN(o, region)
	return nil
}

// productARN gives the product as ASFF names it. Security Hub's own OCSF names
// "productv2"; a tool that has no ARN is a public product of its vendor.
func productARN(o object, region string) string {
	uid := text(o, "metadata.product.uid")
	if arn := Product(uid); arn != "" {
		return arn
	}
	partition := "aws"
	switch {
	case strings.HasPrefix(region, "cn-"):
		partition = "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		partition = "aws-us-gov"
	}
	company := slug(first(o, "metadata.product.vendor_name", "metadata.product.name", "metadata.product.uid"))
	product := slug(first(o, "metadata.product.uid", "metadata.product.name", "metadata.product.vendor_name"))
	return "arn:" + partition + ":securityhub:" + slug(region) + "::product/" + company + "/" + product
}

// Product gives the product ARN of ASFF for a metadata.product.uid that is one,
// else "".
func Product(uid string) string {
	arn := strings.Replace(uid, ":productv2/", ":product/", 1)
	if _, ok := finding.ParseProductARN(arn); !ok {
		return ""
	}
	return arn
}

func slug(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r + ('a' - 'A')
		}
		return '-'
	}, cut(s, 64))
	if s = strings.Trim(s, "-"); s == "" {
		return "unknown"
	}
	return s
}

func shorten(doc object, name string, most int) {
	if s := text(doc, name); s != "" {
		doc[name] = cut(s, most)
		return
	}
	delete(doc, name)
}

func dates(o, doc object) error {
	then := stamp(o, "time")
	created, updated := text(doc, "CreatedAt"), text(doc, "UpdatedAt")
	if updated == "" {
		updated = then
	}
	for _, s := range []string{text(doc, "FirstObservedAt"), then, updated} {
		if created == "" {
			created = s
		}
	}
	if updated == "" {
		updated = created
	}
	if created == "" {
		return fault.Errorf(fault.Invalid, "read OCSF", "time is missing").WithHint("give time in milliseconds since 1970, or time_dt")
	}
	doc["CreatedAt"], doc["UpdatedAt"] = created, updated
	return nil
}

// severity keeps the provider's own word beside the label.
func severity(o, doc object) {
	s, ok := doc["Severity"].(object)
	if !ok {
		label := finding.Informational
		for id := range fatal + 1 {
			if strings.EqualFold(Severity(id), text(o, "severity")) {
				label = Label(id)
			}
		}
		s = object{"Label": string(label), "Normalized": number(label.Normalized())}
		doc["Severity"] = s
	}
	put(s, "Original", cut(text(o, "severity"), 64))
}

// completeCompliance also reads the result of a check that is no compliance
// finding, as Prowler writes it.
func completeCompliance(o, doc object) {
	if at(doc, "Compliance.Status") == nil {
		if s, ok := map[string]finding.Compliance{
			"PASS": finding.Passed, "FAIL": finding.Failed, "WARNING": finding.Warning, "MANUAL": finding.NotAvailable,
		}[strings.ToUpper(text(o, "status_code"))]; ok {
			put(doc, "Compliance.Status", string(s))
		}
	}
	c, ok := doc["Compliance"].(object)
	if !ok {
		return
	}
	keepTexts(c, "RelatedRequirements", 32)
	if text(c, "SecurityControlId") == "" {
		delete(c, "SecurityControlId")
	}
	if len(c) == 0 {
		delete(doc, "Compliance")
	}
}

// keepTexts drops what of a list is no text, and what is too much.
func keepTexts(o object, name string, most int) {
	list := texts(o, name)
	if len(list) == 0 {
		delete(o, name)
		return
	}
	o[name] = list[:min(len(list), most)]
}

func completeResources(o, doc object) {
	list := objects(doc, "Resources")
	given := objects(o, "resources")
	for i, r := range list {
		id := first(given[i], "uid", "uid_alt", "name")
		if id == "" {
			id = accountResource(doc)
		}
		r["Id"] = id
		r["Type"] = cut(first(r, "Type"), 256)
		if r["Type"] == "" {
			r["Type"] = "Other"
		}
		shorten(r, "Region", 16)
		if p := text(r, "Partition"); !slices.Contains([]string{"aws", "aws-cn", "aws-us-gov", "aws-us-iso", "aws-us-iso-b", "AzureCloud"}, p) {
			delete(r, "Partition")
		}
	}
	if len(list) == 0 {
		doc["Resources"] = []any{object{"Type": "AwsAccount", "Id": accountResource(doc)}}
	}
}

func accountResource(doc object) string { return "AWS::::Account:" + text(doc, "AwsAccountId") }

func splitLabel(label string) (name, value string, ok bool) {
	at := strings.IndexAny(label, ":=")
	if at < 1 {
		return "", "", false
	}
	return strings.TrimSpace(label[:at]), strings.TrimSpace(label[at+1:]), true
}

// typePattern is a finding type of ASFF: namespace/category/classifier.
var typePattern = regexp.MustCompile(`^([^/]+)(/[^/]+){0,2}$`)

func completeRest(o, doc object) {
	var types []any
	for _, t := range texts(o, "finding_info.types") {
		if s, ok := t.(string); ok && typePattern.MatchString(s) && len(types) < 50 {
			types = append(types, s)
		}
	}
	if types == nil {
		types = []any{typeOf(o)}
	}
	doc["Types"] = types
	if n, ok := integer(o, "confidence_score"); ok && n >= 0 && n <= 100 {
		doc["Confidence"] = number(n)
	} else {
		delete(doc, "Confidence")
	}
	related := slices.DeleteFunc(objects(doc, "RelatedFindings"), func(r object) bool {
		arn := Product(text(r, "ProductArn"))
		r["ProductArn"] = arn
		return arn == "" || text(r, "Id") == "" || utf8.RuneCountInString(text(r, "Id")) > 512
	})
	delete(doc, "RelatedFindings")
	var list []any
	for _, r := range related[:min(len(related), 10)] {
		list = append(list, r)
	}
	put(doc, "RelatedFindings", list)
	delete(doc, "Remediation")
	put(doc, "Remediation.Recommendation.Text", cut(text(o, "remediation.desc"), 512))
	for _, u := range texts(o, "remediation.references") {
		if s, _ := u.(string); strings.HasPrefix(s, "https://") && at(doc, "Remediation.Recommendation.Url") == nil {
			put(doc, "Remediation.Recommendation.Url", s)
		}
	}
	if note := text(o, "comment"); note != "" {
		by := first(doc, "ProductName", "CompanyName", "ProductArn")
		doc["Note"] = object{"Text": cut(note, 512), "UpdatedBy": by, "UpdatedAt": doc["UpdatedAt"]}
	}
	fields := object{}
	for name, path := range map[string]string{
		"ocsf/class_name": "class_name", "ocsf/version": "metadata.version", "ocsf/event_code": "metadata.event_code",
		"ocsf/product_version": "metadata.product.version",
	} {
		put(fields, name, cut(text(o, path), 1024))
	}
	if n, ok := integer(o, "class_uid"); ok {
		fields["ocsf/class_uid"] = number(n).String()
	}
	doc["ProductFields"] = fields
}

// typeOf gives the namespace of ASFF for a class.
func typeOf(o object) string {
	switch class, _ := integer(o, "class_uid"); class {
	case Vulnerability, ApplicationSecurity:
		return "Software and Configuration Checks/Vulnerabilities"
	case Compliance:
		return "Software and Configuration Checks"
	case DataSecurity:
		return "Sensitive Data Identifications"
	}
	if text(o, "status_code") != "" {
		return "Software and Configuration Checks"
	}
	return "Unusual Behaviors"
}

func completeVulnerabilities(o, doc object) {
	var out []any
	for _, v := range objects(o, "vulnerabilities") {
		id := first(v, "cve.uid", "advisory.uid", "cwe.uid", "title")
		if id == "" {
			id = "unknown"
		}
		e := object{"Id": id}
		var scores, packages []any
		for _, c := range objects(v, "cve.cvss") {
			s := object{}
			if n, ok := c["base_score"].(json.Number); ok {
				s["BaseScore"] = n
			}
			put(s, "Version", text(c, "version"))
			put(s, "BaseVector", text(c, "vector_string"))
			scores = append(scores, s)
		}
		for _, p := range objects(v, "affected_packages") {
			s := object{}
			put(s, "Name", text(p, "name"))
			put(s, "Version", text(p, "version"))
			put(s, "Architecture", text(p, "architecture"))
			put(s, "PackageManager", text(p, "package_manager"))
			put(s, "FixedInVersion", text(p, "fixed_in_version"))
			packages = append(packages, s)
		}
		put(e, "Cvss", scores)
		put(e, "VulnerablePackages", packages)
		put(e, "ReferenceUrls", texts(v, "references"))
		put(e, "Vendor.Name", text(v, "vendor_name"))
		put(e, "Vendor.VendorSeverity", text(v, "severity"))
		if b, ok := v["is_exploit_available"].(bool); ok {
			e["ExploitAvailable"] = yes(b)
		}
		if b, ok := v["is_fix_available"].(bool); ok {
			e["FixAvailable"] = yes(b)
		}
		if n, err := json.Number(first(v, "cve.epss.score")).Float64(); err == nil && n >= 0 && n <= 1 {
			e["EpssScore"] = json.Number(first(v, "cve.epss.score"))
		} else if n, ok := at(v, "cve.epss.score").(json.Number); ok {
			e["EpssScore"] = n
		}
		out = append(out, e)
	}
	put(doc, "Vulnerabilities", out)
}

func yes(b bool) string {
	if b {
		return "YES"
	}
	return "NO"
}

// completeNetwork takes the first connection among the evidences.
func completeNetwork(o, doc object) {
	for _, e := range objects(o, "evidences") {
		n := object{}
		for _, end := range []pair{{"Source", "src_endpoint"}, {"Destination", "dst_endpoint"}} {
			if ip := text(e, end.ocsf+".ip"); strings.Contains(ip, ":") {
				put(n, end.asff+"IpV6", ip)
			} else {
				put(n, end.asff+"IpV4", ip)
			}
			if port, ok := integer(e, end.ocsf+".port"); ok {
				n[end.asff+"Port"] = number(port)
			}
			put(n, end.asff+"Domain", cut(first(e, end.ocsf+".hostname", end.ocsf+".domain"), 128))
		}
		if len(n) > 0 {
			put(n, "Protocol", cut(text(e, "connection_info.protocol_name"), 16))
			doc["Network"] = n
			return
		}
	}
}
