package ocsf

// toVulnerabilities writes what filters ask for of Vulnerabilities; they are kept
// whole in the residue.
func toVulnerabilities(doc object) []any {
	var out []any
	for _, v := range objects(doc, "Vulnerabilities") {
		e := object{}
		put(e, "cve.uid", text(v, "Id"))
		put(e, "cve.epss.score", score(v["EpssScore"]))
		put(e, "severity", text(v, "Vendor.VendorSeverity"))
		put(e, "vendor_name", text(v, "Vendor.Name"))
		put(e, "references", texts(v, "ReferenceUrls"))
		put(e, "related_vulnerabilities", texts(v, "RelatedVulnerabilities"))
		var scores, packages, code []any
		for _, c := range objects(v, "Cvss") {
			s := object{}
			put(s, "base_score", c["BaseScore"])
			put(s, "version", text(c, "Version"))
			put(s, "vector_string", text(c, "BaseVector"))
			scores = append(scores, s)
		}
		for _, p := range objects(v, "VulnerablePackages") {
			s := object{}
			for _, m := range []pair{
				{"Name", "name"},
				{"Version", "version"},
				{"Architecture", "architecture"},
				{"Epoch", "epoch"},
				{"Release", "release"},
				{"PackageManager", "package_manager"},
				{"FilePath", "path"},
				{"FixedInVersion", "fixed_in_version"},
				{"Remediation", "remediation.desc"},
			} {
				put(s, m.ocsf, text(p, m.asff))
			}
			packages = append(packages, s)
		}
		for _, c := range objects(v, "CodeVulnerabilities") {
			s := object{}
			put(s, "file.path", text(c, "FilePath.FilePath"))
			put(s, "file.name", text(c, "FilePath.FileName"))
			put(s, "start_line", at(c, "FilePath.StartLine"))
			put(s, "end_line", at(c, "FilePath.EndLine"))
			code = append(code, s)
		}
		put(e, "cve.cvss", scores)
		put(e, "affected_packages", packages)
		put(e, "affected_code", code)
		if s := text(v, "ExploitAvailable"); s != "" {
			e["is_exploit_available"] = s == "YES"
		}
		if s := text(v, "FixAvailable"); s != "" {
			e["is_fix_available"] = s != "NO"
			put(e, "fix_coverage", map[string]string{"YES": "Complete", "PARTIAL": "Partial", "NO": "None"}[s])
		}
		out = append(out, e)
	}
	return out
}

// score writes a number as text, which OCSF's EPSS score is.
func score(v any) any {
	if n, ok := v.(interface{ String() string }); ok {
		return n.String()
	}
	return nil
}

// toEvidences writes what is known of network, process and call as one evidence.
func toEvidences(doc object) []any {
	e := object{}
	network := func(prefix, end string) {
		for _, m := range []pair{{"IpV4", "ip"}, {"IpV6", "ip"}, {"Port", "port"}, {"Domain", "hostname"}, {"Mac", "mac"}} {
			put(e, end+"."+m.ocsf, at(doc, "Network."+prefix+m.asff))
		}
	}
	network("Source", "src_endpoint")
	network("Destination", "dst_endpoint")
	put(e, "connection_info.protocol_name", text(doc, "Network.Protocol"))
	put(e, "connection_info.direction", map[string]string{"IN": "Inbound", "OUT": "Outbound"}[text(doc, "Network.Direction")])
	for _, m := range []pair{{"Name", "name"}, {"Pid", "pid"}, {"Path", "file.path"}, {"ParentPid", "parent_process.pid"}} {
		put(e, "process."+m.ocsf, at(doc, "Process."+m.asff))
	}
	toAction(e, doc)
	if len(e) == 0 {
		return nil
	}
	return []any{e}
}

// toAction writes who called or connected, by the kind of action.
func toAction(e, doc object) {
	const call, connection = "Action.AwsApiCallAction", "Action.NetworkConnectionAction"
	put(e, "api.operation", text(doc, call+".Api"))
	put(e, "api.service.name", text(doc, call+".ServiceName"))
	put(e, "connection_info.protocol_name", text(doc, connection+".Protocol"))
	put(e, "connection_info.direction", map[string]string{"INBOUND": "Inbound", "OUTBOUND": "Outbound"}[text(doc, connection+".ConnectionDirection")])
	end := "src_endpoint"
	if text(doc, connection+".ConnectionDirection") == "OUTBOUND" {
		end = "dst_endpoint"
	}
	for _, action := range []string{call, connection} {
		remote := action + ".RemoteIpDetails."
		put(e, end+".ip", text(doc, remote+"IpAddressV4"))
		put(e, end+".location.country", text(doc, remote+"Country.CountryName"))
		put(e, end+".location.city", text(doc, remote+"City.CityName"))
		put(e, end+".autonomous_system.name", text(doc, remote+"Organization.AsnOrg"))
		put(e, end+".autonomous_system.number", at(doc, remote+"Organization.Asn"))
	}
	put(e, end+".port", at(doc, connection+".RemotePortDetails.Port"))
}

func toMalware(doc object) []any {
	var out []any
	for _, m := range objects(doc, "Malware") {
		e := object{}
		put(e, "name", text(m, "Name"))
		put(e, "path", text(m, "Path"))
		put(e, "classifications", links(text(m, "Type")))
		out = append(out, e)
	}
	return out
}
