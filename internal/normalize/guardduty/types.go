package guardduty

import "strings"

// asffType gives the finding type that Security Hub shows for one of GuardDuty,
// after the table of GuardDuty's integration. A type that the table does not
// know yet gets the category that its purpose has there, or TTPs alone.
func asffType(t string) string {
	purpose, rest, _ := strings.Cut(t, ":")
	resource, name, ok := strings.Cut(rest, "/")
	if !ok {
		return "TTPs/" + strings.ReplaceAll(t, "/", "-")
	}
	dashed := purpose + ":" + resource + "-" + name
	switch purpose {
	case "AttackSequence":
		return "TTPs/" + t
	case "PenTest":
		if resource == "IAMUser" {
			return "TTPs/" + t
		}
		return "TTPs/" + dashed
	}
	if special := specialType(t); special != "" {
		return special
	}
	anomaly, behaviour := strings.CutPrefix(name, "AnomalousBehavior.")
	switch {
	case resource == "Kubernetes" && purpose == "Policy":
		return "Software and Configuration Checks/AWS Security Best Practices/" + dashed
	case resource == "Kubernetes" && behaviour:
		return "TTPs/AnomalousBehavior/" + purpose + ":Kubernetes-" + anomaly
	case resource == "Kubernetes":
		return "TTPs/" + purpose + "/" + dashed
	case resource == "IAMUser" && name == "AnomalousBehavior":
		return "TTPs/" + spaced(purpose) + "/IAMUser-AnomalousBehavior"
	case resource == "RDS" && purpose == "Discovery":
		return "TTPs/Discovery/RDS-" + name
	case resource == "S3" && bareS3(purpose), resource == "EC2" && purpose == "Impact" && strings.HasSuffix(name, ".Reputation"):
		return "TTPs/" + dashed
	}
	if category := category(purpose, resource, name); category != "" {
		return category + "/" + dashed
	}
	return "TTPs/" + dashed
}

// specialType lists the types whose ASFF name follows no rule.
func specialType(t string) string {
	return map[string]string{
		"DefenseEvasion:EC2/UnusualDNSResolver":         "TTPs/DefenseEvasion/EC2:Unusual-DNS-Resolver",
		"DefenseEvasion:EC2/UnusualDoHActivity":         "TTPs/DefenseEvasion/EC2:Unusual-DoH-Activity",
		"DefenseEvasion:EC2/UnusualDoTActivity":         "TTPs/DefenseEvasion/EC2:Unusual-DoT-Activity",
		"DefenseEvasion:Runtime/PtraceAntiDebugging":    "TTPs/DefenseEvasion/DefenseEvasion:Runtime-PtraceAntiDebugging",
		"DefenseEvasion:Runtime/SuspiciousCommand":      "TTPs/DefenseEvasion/DefenseEvasion:Runtime-SuspiciousCommand",
		"PrivilegeEscalation:Runtime/SuspiciousCommand": "Software and Configuration Checks/PrivilegeEscalation:Runtime-SuspiciousCommand",
		"Policy:S3/BucketBlockPublicAccessDisabled":     "Effects/Data Exposure/Policy:S3-BucketBlockPublicAccessDisabled",
		"UnauthorizedAccess:IAMUser/ConsoleLogin":       "Unusual Behaviors/User/UnauthorizedAccess:IAMUser-ConsoleLogin",
		"UnauthorizedAccess:IAMUser/TorIPCaller":        "TTPs/Command and Control/UnauthorizedAccess:IAMUser-TorIPCaller",
	}[t]
}

// bareS3 reports whether a type about S3 stands directly below TTPs.
func bareS3(purpose string) bool {
	switch purpose {
	case "Discovery", "Exfiltration", "Impact", "Policy", "UnauthorizedAccess":
		return true
	}
	return false
}

// category gives namespace and category of a purpose, "" for TTPs without one.
func category(purpose, resource, name string) string {
	const control, exfiltration, initial = "TTPs/Command and Control", "Effects/Data Exfiltration", "TTPs/Initial Access"
	switch purpose {
	case "Backdoor":
		if strings.HasPrefix(name, "DenialOfService") {
			return "Effects/Denial of Service"
		}
		return control
	case "CryptoCurrency":
		return control
	case "Trojan":
		switch {
		case strings.HasPrefix(name, "DropPoint"):
			return exfiltration
		case strings.HasPrefix(name, "DriveBySourceTraffic"):
			return initial
		}
		return control
	case "Behavior":
		return "Unusual Behaviors/VM"
	case "ResourceConsumption":
		return "Unusual Behaviors/User"
	case "Recon":
		return "TTPs/Discovery"
	case "Stealth":
		return "TTPs/Defense Evasion"
	case "CredentialAccess", "DefenseEvasion", "Discovery", "Execution", "Exfiltration", "Impact", "InitialAccess", "Object", "Persistence", "PrivilegeEscalation":
		return "TTPs/" + spaced(purpose)
	case "UnauthorizedAccess":
		switch {
		case strings.Contains(name, "CredentialExfiltration"):
			return exfiltration
		case strings.HasSuffix(name, "BruteForce"):
			return initial
		case name == "TorClient" || name == "TorRelay":
			return "Effects/Resource Consumption"
		case name == "MaliciousIPCaller.Custom" && resource != "IAMUser":
			return control
		}
	}
	return ""
}

// spaced writes a purpose as the tactic that it names.
func spaced(purpose string) string {
	switch purpose {
	case "CredentialAccess":
		return "Credential Access"
	case "DefenseEvasion":
		return "Defense Evasion"
	case "InitialAccess":
		return "Initial Access"
	case "PrivilegeEscalation":
		return "Privilege Escalation"
	}
	return purpose
}
