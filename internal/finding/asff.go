package finding

// asff is the schema of one finding. It is built once and never written.
//
// The limits are those of AWS's model documentation. Members that are absent
// here are accepted as they are: AWS adds some every month, and a finding must
// not be lost because Parry is older than its sender.
var asff = asffSchema()

const typePattern = `^([^/]+)(/[^/]+){0,2}$`

func asffSchema() *schema {
	s := object(map[string]*schema{
		"SchemaVersion":         oneOf("2018-10-08"),
		"Id":                    text(1, 512),
		"ProductArn":            text(12, 2048),
		"ProductName":           text(1, 128),
		"CompanyName":           text(1, 128),
		"Region":                text(1, 16),
		"GeneratorId":           text(1, 512),
		"AwsAccountId":          matching(12, 12, `^[0-9]{12}$`),
		"AwsAccountName":        text(1, 50),
		"Types":                 types(),
		"FirstObservedAt":       date(),
		"LastObservedAt":        date(),
		"CreatedAt":             date(),
		"UpdatedAt":             date(),
		"ProcessedAt":           date(),
		"Severity":              severitySchema(),
		"Confidence":            ratio(),
		"Criticality":           ratio(),
		"Title":                 text(1, 256),
		"Description":           text(1, 1024),
		"Remediation":           object(map[string]*schema{"Recommendation": object(map[string]*schema{"Text": text(1, 512), "Url": text(1, 0)})}),
		"SourceUrl":             text(1, 0),
		"ProductFields":         mapping(50, 128, 2048),
		"UserDefinedFields":     mapping(50, 128, 1024),
		"Resources":             list(resourceSchema(), 1, 32),
		"Compliance":            complianceSchema(),
		"VerificationState":     verificationStates(),
		"WorkflowState":         oneOf("NEW", "ASSIGNED", "IN_PROGRESS", "DEFERRED", "RESOLVED"),
		"Workflow":              object(map[string]*schema{"Status": workflowStates()}),
		"RecordState":           oneOf("ACTIVE", "ARCHIVED"),
		"RelatedFindings":       relatedFindings(),
		"Note":                  object(map[string]*schema{"Text": text(1, 512), "UpdatedBy": text(1, 0), "UpdatedAt": date()}, "Text", "UpdatedBy", "UpdatedAt"),
		"FindingProviderFields": providerFields(),
		"Sample":                boolean(),
		"Vulnerabilities":       list(object(nil), 0, 0),
		"NetworkPath":           list(object(nil), 0, 0),
		"Action":                object(nil),
		"PatchSummary":          object(map[string]*schema{"Id": text(1, 256), "RebootOption": text(1, 256), "Operation": text(1, 256)}, "Id"),
		"GeneratorDetails":      object(nil),
		"Detection":             object(nil),
	}, "SchemaVersion", "Id", "ProductArn", "GeneratorId", "AwsAccountId", "CreatedAt", "UpdatedAt", "Title", "Description", "Resources")
	addThreatMembers(s.members)
	return s
}

func types() *schema { return list(matching(1, 0, typePattern), 0, 50) }

func verificationStates() *schema {
	return oneOf("UNKNOWN", "TRUE_POSITIVE", "FALSE_POSITIVE", "BENIGN_POSITIVE")
}

func workflowStates() *schema { return oneOf("NEW", "NOTIFIED", "RESOLVED", "SUPPRESSED") }

func severitySchema() *schema {
	return object(map[string]*schema{
		"Label":      oneOf("INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL"),
		"Normalized": ratio(),
		"Original":   text(1, 64),
		"Product":    number(),
	})
}

func relatedFindings() *schema {
	return list(object(map[string]*schema{"ProductArn": text(12, 2048), "Id": text(1, 512)}, "ProductArn", "Id"), 1, 10)
}

func providerFields() *schema {
	return object(map[string]*schema{
		"Confidence": ratio(), "Criticality": ratio(), "RelatedFindings": relatedFindings(),
		"Severity": severitySchema(), "Types": types(),
	})
}

func resourceSchema() *schema {
	return object(map[string]*schema{
		"Type":               text(1, 256),
		"Id":                 text(1, 0),
		"Partition":          oneOf("aws", "aws-cn", "aws-us-gov", "aws-us-iso", "aws-us-iso-b", "AzureCloud"),
		"Region":             text(1, 16),
		"ResourceRole":       text(1, 0),
		"Tags":               mapping(0, 0, 0),
		"DataClassification": object(nil),
		"Details":            object(map[string]*schema{"Other": mapping(0, 0, 0)}),
		"ApplicationName":    text(1, 0),
		"ApplicationArn":     text(1, 0),
		"Provider":           text(1, 0),
		"Owner":              object(nil),
	}, "Type", "Id")
}

func complianceSchema() *schema {
	return object(map[string]*schema{
		"Status":              oneOf("PASSED", "WARNING", "FAILED", "NOT_AVAILABLE"),
		"RelatedRequirements": list(text(1, 0), 0, 32),
		"SecurityControlId":   text(1, 0),
		"StatusReasons":       list(object(map[string]*schema{"ReasonCode": text(1, 0), "Description": text(1, 0)}, "ReasonCode"), 0, 0),
		"AssociatedStandards": list(object(map[string]*schema{"StandardsId": text(1, 0)}), 0, 0),
		"SecurityControlParameters": list(object(map[string]*schema{
			"Name": text(1, 0), "Value": list(text(1, 0), 0, 0),
		}), 0, 0),
	})
}

func addThreatMembers(m map[string]*schema) {
	m["Malware"] = list(object(map[string]*schema{
		"Name": text(1, 64), "Path": text(1, 512), "State": oneOf("OBSERVED", "REMOVAL_FAILED", "REMOVED"), "Type": text(1, 0),
	}, "Name"), 0, 5)
	m["Network"] = object(map[string]*schema{
		"Direction": oneOf("IN", "OUT"), "Protocol": text(1, 16),
		"SourceIpV4": text(1, 0), "SourceIpV6": text(1, 0), "SourcePort": integer(),
		"SourceDomain": text(1, 128), "SourceMac": text(1, 0),
		"DestinationIpV4": text(1, 0), "DestinationIpV6": text(1, 0), "DestinationPort": integer(),
		"DestinationDomain": text(1, 128),
	})
	m["Process"] = object(map[string]*schema{
		"Name": text(1, 64), "Path": text(1, 512), "Pid": integer(), "ParentPid": integer(),
		"LaunchedAt": date(), "TerminatedAt": date(),
	})
	m["Threats"] = list(object(map[string]*schema{
		"Name": text(1, 128), "Severity": text(1, 128), "ItemCount": integer(), "FilePaths": list(object(nil), 1, 5),
	}), 1, 32)
	m["ThreatIntelIndicators"] = list(object(map[string]*schema{
		"Type": text(1, 0), "Value": text(1, 512), "Category": text(1, 0),
		"LastObservedAt": date(), "Source": text(1, 64), "SourceUrl": text(1, 0),
	}), 1, 5)
}
