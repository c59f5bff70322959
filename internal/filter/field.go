package filter

import (
	"strings"

	"github.com/parry-security/parry/internal/finding"
)

// Kind is the type of a field's tests.
type Kind string

// The kinds of test.
const (
	String  Kind = "String"
	Date    Kind = "Date"
	Number  Kind = "Number"
	IP      Kind = "Ip"
	Map     Kind = "Map"
	Keyword Kind = "Keyword"
	Boolean Kind = "Boolean"
)

// Field is one of the attributes that a filter may name.
type Field struct {
	Name string
	Kind Kind
	// Paths are the members of a finding that the field reads; arrays on the
	// way are entered. Only Keyword has more than one.
	Paths [][]string
	// RuleMax is the number of values that an automation rule may list; 0 means
	// that a rule may not use the field.
	RuleMax int
	// OCSF says that the field is one of OcsfFindingFilters.
	OCSF bool
}

// FieldNamed gives the field with exactly this name.
func FieldNamed(name string) (Field, bool) {
	f, ok := fields[name]
	return f, ok
}

// Fields lists all fields by name.
func Fields() map[string]Field {
	out := make(map[string]Field, len(fields))
	for k, v := range fields {
		out[k] = v
	}
	return out
}

// fields is the table of all 107 fields. It is built once and never written.
var fields = buildFields()

func buildFields() map[string]Field {
	out := make(map[string]Field, 107)
	for kind, table := range map[Kind]string{String: stringFields, Date: dateFields, Number: numberFields, IP: ipFields, Map: mapFields} {
		for line := range strings.Lines(table) {
			name, path, ok := strings.Cut(strings.TrimSpace(line), " ")
			if !ok {
				continue
			}
			limit := 0
			if rest, rule := strings.CutSuffix(path, " rule"); rule {
				path, limit = rest, 20
			} else if rest, rule := strings.CutSuffix(path, " rule100"); rule {
				path, limit = rest, 100
			}
			out[name] = Field{Name: name, Kind: kind, Paths: [][]string{strings.Split(path, ".")}, RuleMax: limit}
		}
	}
	out["Sample"] = Field{Name: "Sample", Kind: Boolean, Paths: [][]string{{"Sample"}}}
	out["Keyword"] = Field{Name: "Keyword", Kind: Keyword, Paths: [][]string{
		{"Title"}, {"Description"}, {"Id"}, {"GeneratorId"}, {"Resources", "Id"},
	}}
	return out
}

// Each line is: field, path in the finding, and "rule" (20 values) or
// "rule100" where automation rules may use the field.
const (
	stringFields = `
ProductArn ProductArn rule
AwsAccountId AwsAccountId rule100
AwsAccountName AwsAccountName rule
Id Id rule
GeneratorId GeneratorId rule100
Region Region
Type Types rule
SeverityLabel Severity.Label rule
Title Title rule100
Description Description rule
RecommendationText Remediation.Recommendation.Text
SourceUrl SourceUrl rule
ProductName ProductName rule
CompanyName CompanyName rule
MalwareName Malware.Name
MalwareType Malware.Type
MalwarePath Malware.Path
MalwareState Malware.State
NetworkDirection Network.Direction
NetworkProtocol Network.Protocol
NetworkSourceDomain Network.SourceDomain
NetworkSourceMac Network.SourceMac
NetworkDestinationDomain Network.DestinationDomain
ProcessName Process.Name
ProcessPath Process.Path
ThreatIntelIndicatorType ThreatIntelIndicators.Type
ThreatIntelIndicatorValue ThreatIntelIndicators.Value
ThreatIntelIndicatorCategory ThreatIntelIndicators.Category
ThreatIntelIndicatorSource ThreatIntelIndicators.Source
ThreatIntelIndicatorSourceUrl ThreatIntelIndicators.SourceUrl
ResourceType Resources.Type rule
ResourceId Resources.Id rule100
ResourcePartition Resources.Partition rule
ResourceRegion Resources.Region rule
ResourceApplicationName Resources.ApplicationName rule
ResourceApplicationArn Resources.ApplicationArn rule
ResourceOwnerAccountId Resources.Owner.AccountId rule
ResourceOwnerOrgId Resources.Owner.OrgId rule
ResourceProvider Resources.Provider rule
ResourceAwsEc2InstanceType Resources.Details.AwsEc2Instance.Type
ResourceAwsEc2InstanceImageId Resources.Details.AwsEc2Instance.ImageId
ResourceAwsEc2InstanceKeyName Resources.Details.AwsEc2Instance.KeyName
ResourceAwsEc2InstanceIamInstanceProfileArn Resources.Details.AwsEc2Instance.IamInstanceProfileArn
ResourceAwsEc2InstanceVpcId Resources.Details.AwsEc2Instance.VpcId
ResourceAwsEc2InstanceSubnetId Resources.Details.AwsEc2Instance.SubnetId
ResourceAwsS3BucketOwnerId Resources.Details.AwsS3Bucket.OwnerId
ResourceAwsS3BucketOwnerName Resources.Details.AwsS3Bucket.OwnerName
ResourceAwsIamAccessKeyUserName Resources.Details.AwsIamAccessKey.UserName
ResourceAwsIamAccessKeyPrincipalName Resources.Details.AwsIamAccessKey.PrincipalName
ResourceAwsIamAccessKeyStatus Resources.Details.AwsIamAccessKey.Status
ResourceAwsIamUserUserName Resources.Details.AwsIamUser.UserName
ResourceContainerName Resources.Details.Container.Name
ResourceContainerImageId Resources.Details.Container.ImageId
ResourceContainerImageName Resources.Details.Container.ImageName
ComplianceStatus Compliance.Status rule
ComplianceSecurityControlId Compliance.SecurityControlId rule
ComplianceAssociatedStandardsId Compliance.AssociatedStandards.StandardsId rule
ComplianceSecurityControlParametersName Compliance.SecurityControlParameters.Name
ComplianceSecurityControlParametersValue Compliance.SecurityControlParameters.Value
VerificationState VerificationState rule
WorkflowState WorkflowState
WorkflowStatus Workflow.Status rule
RecordState RecordState rule
RelatedFindingsProductArn RelatedFindings.ProductArn rule
RelatedFindingsId RelatedFindings.Id rule
NoteText Note.Text rule
NoteUpdatedBy Note.UpdatedBy rule
FindingProviderFieldsRelatedFindingsId FindingProviderFields.RelatedFindings.Id
FindingProviderFieldsRelatedFindingsProductArn FindingProviderFields.RelatedFindings.ProductArn
FindingProviderFieldsSeverityLabel FindingProviderFields.Severity.Label
FindingProviderFieldsSeverityOriginal FindingProviderFields.Severity.Original
FindingProviderFieldsTypes FindingProviderFields.Types
VulnerabilitiesExploitAvailable Vulnerabilities.ExploitAvailable
VulnerabilitiesFixAvailable Vulnerabilities.FixAvailable
`
	dateFields = `
FirstObservedAt FirstObservedAt rule
LastObservedAt LastObservedAt rule
CreatedAt CreatedAt rule
UpdatedAt UpdatedAt rule
ProcessLaunchedAt Process.LaunchedAt
ProcessTerminatedAt Process.TerminatedAt
ThreatIntelIndicatorLastObservedAt ThreatIntelIndicators.LastObservedAt
ResourceAwsEc2InstanceLaunchedAt Resources.Details.AwsEc2Instance.LaunchedAt
ResourceAwsIamAccessKeyCreatedAt Resources.Details.AwsIamAccessKey.CreatedAt
ResourceContainerLaunchedAt Resources.Details.Container.LaunchedAt
NoteUpdatedAt Note.UpdatedAt rule
`
	numberFields = `
SeverityProduct Severity.Product
SeverityNormalized Severity.Normalized
Confidence Confidence rule
Criticality Criticality rule
NetworkSourcePort Network.SourcePort
NetworkDestinationPort Network.DestinationPort
ProcessPid Process.Pid
ProcessParentPid Process.ParentPid
FindingProviderFieldsConfidence FindingProviderFields.Confidence
FindingProviderFieldsCriticality FindingProviderFields.Criticality
`
	ipFields = `
NetworkSourceIpV4 Network.SourceIpV4
NetworkSourceIpV6 Network.SourceIpV6
NetworkDestinationIpV4 Network.DestinationIpV4
NetworkDestinationIpV6 Network.DestinationIpV6
ResourceAwsEc2InstanceIpV4Addresses Resources.Details.AwsEc2Instance.IpV4Addresses
ResourceAwsEc2InstanceIpV6Addresses Resources.Details.AwsEc2Instance.IpV6Addresses
`
	mapFields = `
ProductFields ProductFields
UserDefinedFields UserDefinedFields rule
ResourceTags Resources.Tags rule
ResourceDetailsOther Resources.Details.Other rule
`
)

// Pairs calls yield for every key and value of a map field, until it gives false.
// In OCSF a map may also be a list of objects with name and value.
func (f Field) Pairs(doc finding.Finding, yield func(key, value string) bool) {
	if f.OCSF {
		doc.NamedPairs(f.Paths[0], yield)
		return
	}
	doc.Pairs(f.Paths[0], yield)
}
