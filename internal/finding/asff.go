package finding

import (
	"strconv"
	"strings"
	"sync"

	"github.com/parry-security/parry/internal/apimodel"
)

// asff is the schema of one finding: the shapes are those of AWS's own model of
// Security Hub, the limits beside them are those that its documentation states
// in words. Members that the model lacks are accepted as they are: AWS adds
// some every month, and a finding must not be lost because Parry is older than
// its sender.
//
//nolint:gochecknoglobals // A constant that is built from an embedded model.
var asff = sync.OnceValue(func() *schema {
	catalog, err := apimodel.Load()
	if err != nil {
		panic(err) // The model is embedded: without it the program is broken.
	}
	service, operation, err := catalog.Find("securityhub", "BatchImportFindings")
	if err != nil {
		panic(err)
	}
	list, ok := operation.Input.Member("Findings")
	if !ok {
		panic(service.Name + ": BatchImportFindings has no Findings")
	}
	c := compiler{documented: documented(), done: map[*apimodel.Shape]*schema{}}
	return c.compile(list.Shape.Elem.Shape)
})

// compiler turns shapes of the model into schemas, each once.
type compiler struct {
	documented map[string]*schema
	done       map[*apimodel.Shape]*schema
}

func (c *compiler) compile(shape *apimodel.Shape) *schema {
	if s := c.done[shape]; s != nil {
		return s
	}
	s := &schema{}
	c.done[shape] = s
	least, most := atoi(shape.Min), atoi(shape.Max)
	switch shape.Type {
	case apimodel.String:
		switch {
		case shape.Enum != nil:
			*s = *oneOf(shape.Enum...)
		case shape.Pattern == "" || shape.Pattern == `.*\S.*`:
			*s = *text(1, most)
		default:
			*s = *matching(least, most, shape.Pattern)
		}
	case apimodel.Integer:
		*s = *integer()
		if shape.Max != "" {
			s.min, s.max = least, most
		}
	case apimodel.Long:
		s.kind = kindInteger
	case apimodel.Float, apimodel.Double:
		s.kind = kindNumber
	case apimodel.Boolean:
		s.kind = kindBoolean
	case apimodel.List:
		*s = schema{kind: kindArray, min: least, max: most, item: c.compile(shape.Elem.Shape)}
	case apimodel.Map:
		*s = *mapping(0, 0, 0, 0) // Tags may be empty, so values may.
	case apimodel.Structure:
		s.kind, s.required, s.members = kindObject, shape.Required, make(map[string]*schema, len(shape.Members))
		for _, m := range shape.Members {
			s.members[m.Name] = c.member(shape.Name+"."+m.Name, c.compile(m.Shape))
		}
		for name, d := range c.newer(shape) {
			s.members[name] = d
		}
	default:
		panic("shape " + shape.Name + " of ASFF is a " + shape.Type.String())
	}
	return s
}

// atoi reads a limit of the model, 0 where it has none.
func atoi(limit string) int {
	n, err := strconv.Atoi(limit)
	if err != nil && limit != "" {
		panic("limit " + limit + " of ASFF is no integer")
	}
	return n
}

// member gives the schema of a member with what is documented of it.
func (c *compiler) member(name string, s *schema) *schema {
	d := c.documented[name]
	if d == nil {
		return s
	}
	if d.kind == kindArray && d.item == nil {
		return &schema{kind: kindArray, min: d.min, max: d.max, item: s.item}
	}
	return d
}

// newer gives what is documented of members that the model does not have yet.
func (c *compiler) newer(shape *apimodel.Shape) map[string]*schema {
	out := map[string]*schema{}
	for name, d := range c.documented {
		of, member, _ := strings.Cut(name, ".")
		if _, known := shape.Member(member); of == shape.Name && !known {
			out[member] = d
		}
	}
	return out
}

// Types of findings are one to three parts. AWS's answers name the pattern.
const typePattern = `^([^/]+)(/[^/]+){0,2}$`

// documented gives the limits that only AWS's documentation has, by structure
// and member.
func documented() map[string]*schema {
	types := &schema{kind: kindArray, max: 50, item: matching(1, 0, typePattern)}
	out := map[string]*schema{
		"AwsSecurityFinding.SchemaVersion":                oneOf("2018-10-08"),
		"AwsSecurityFinding.Id":                           text(1, 512),
		"AwsSecurityFinding.ProductArn":                   text(12, 2048),
		"AwsSecurityFinding.ProductName":                  text(1, 128),
		"AwsSecurityFinding.CompanyName":                  text(1, 128),
		"AwsSecurityFinding.Region":                       text(1, 16),
		"AwsSecurityFinding.GeneratorId":                  text(1, 512),
		"AwsSecurityFinding.AwsAccountId":                 matching(12, 12, `^[0-9]{12}$`),
		"AwsSecurityFinding.AwsAccountName":               text(1, 50),
		"AwsSecurityFinding.Types":                        types,
		"AwsSecurityFinding.Confidence":                   ratio(),
		"AwsSecurityFinding.Criticality":                  ratio(),
		"AwsSecurityFinding.Title":                        text(1, 256),
		"AwsSecurityFinding.Description":                  text(1, 1024),
		"AwsSecurityFinding.ProductFields":                mapping(0, 50, 128, 2048),
		"AwsSecurityFinding.UserDefinedFields":            mapping(0, 50, 128, 1024),
		"AwsSecurityFinding.Malware":                      sized(0, 5),
		"AwsSecurityFinding.Threats":                      sized(1, 32),
		"AwsSecurityFinding.ThreatIntelIndicators":        sized(1, 5),
		"AwsSecurityFinding.Resources":                    sized(1, 32),
		"AwsSecurityFinding.RelatedFindings":              sized(1, 10),
		"FindingProviderFields.Types":                     types,
		"FindingProviderFields.RelatedFindings":           sized(1, 10),
		"FindingProviderSeverity.Original":                text(1, 64),
		"FindingProviderSeverity.Normalized":              ratio(),
		"FindingProviderSeverity.Product":                 {kind: kindNumber},
		"Severity.Original":                               text(1, 64),
		"Severity.Normalized":                             ratio(),
		"RelatedFinding.ProductArn":                       text(12, 2048),
		"RelatedFinding.Id":                               text(1, 512),
		"Recommendation.Text":                             text(1, 512),
		"Note.Text":                                       text(1, 512),
		"Compliance.RelatedRequirements":                  sized(0, 32),
		"Resource.Type":                                   text(1, 256),
		"Resource.Region":                                 text(1, 16),
		"Resource.Partition":                              oneOf("aws", "aws-cn", "aws-us-gov", "aws-us-iso", "aws-us-iso-b", "AzureCloud"),
		"Resource.Tags":                                   mapping(1, 0, 0, 0),
		"Resource.Provider":                               text(1, 0),
		"Resource.Owner":                                  {kind: kindObject},
		"Malware.Name":                                    text(1, 64),
		"Malware.Path":                                    text(1, 512),
		"Network.Protocol":                                text(1, 16),
		"Network.SourceDomain":                            text(1, 128),
		"Network.DestinationDomain":                       text(1, 128),
		"NetworkPathComponent.ComponentId":                text(1, 32),
		"NetworkPathComponent.ComponentType":              text(1, 32),
		"NetworkHeader.Protocol":                          text(1, 16),
		"ProcessDetails.Name":                             text(1, 64),
		"ProcessDetails.Path":                             text(1, 512),
		"Threat.Name":                                     text(1, 128),
		"Threat.Severity":                                 text(1, 128),
		"Threat.FilePaths":                                sized(1, 5),
		"FilePaths.FilePath":                              text(1, 128),
		"FilePaths.FileName":                              text(1, 128),
		"FilePaths.ResourceId":                            text(1, 128),
		"FilePaths.Hash":                                  text(1, 128),
		"ThreatIntelIndicator.Value":                      text(1, 512),
		"ThreatIntelIndicator.Source":                     text(1, 64),
		"PatchSummary.Id":                                 text(1, 256),
		"PatchSummary.RebootOption":                       text(1, 256),
		"PatchSummary.Operation":                          text(1, 256),
		"NetworkConnectionAction.Protocol":                text(1, 64),
		"ActionRemotePortDetails.PortName":                text(1, 128),
		"ActionLocalPortDetails.PortName":                 text(1, 128),
		"AwsApiCallAction.Api":                            text(1, 128),
		"AwsApiCallAction.ServiceName":                    text(1, 128),
		"AwsApiCallActionDomainDetails.Domain":            text(1, 128),
		"DnsRequestAction.Domain":                         text(1, 128),
		"DnsRequestAction.Protocol":                       text(1, 64),
		"GeneratorDetails.Labels":                         sized(0, 10),
		"AwsLambdaLayerVersionDetails.CompatibleRuntimes": sized(0, 5),
	}
	for of := range strings.Lines(timestamps) {
		names := strings.Fields(of)
		for _, name := range names[1:] {
			out[names[0]+"."+name] = date()
		}
	}
	return out
}

// timestamps are the members that AWS documents as such, by structure. What it
// writes as a number or in Unix's form is none.
const timestamps = `AwsSecurityFinding FirstObservedAt LastObservedAt CreatedAt UpdatedAt ProcessedAt
ProcessDetails LaunchedAt TerminatedAt
ThreatIntelIndicator LastObservedAt
AwsAutoScalingAutoScalingGroupDetails CreatedTime
AwsCloudFrontDistributionDetails LastModifiedTime
AwsEc2InstanceDetails LaunchedAt
AwsEc2NetworkInterfaceAttachment AttachTime
AwsEc2VolumeDetails CreateTime
AwsElbv2LoadBalancerDetails CreatedTime
AwsS3BucketDetails CreatedAt
AwsS3BucketBucketLifecycleConfigurationRulesDetails ExpirationDate
AwsS3BucketBucketLifecycleConfigurationRulesTransitionsDetails Date
AwsS3ObjectDetails LastModified
AwsIamAccessKeyDetails CreatedAt
AwsIamAccessKeySessionContextAttributes CreationDate
AwsIamUserDetails CreateDate
AwsIamPolicyDetails CreateDate UpdateDate
AwsIamPolicyVersion CreateDate
AwsApiGatewayV2StageDetails CreatedDate LastUpdatedDate
AwsApiGatewayV2ApiDetails CreatedDate
AwsDynamoDbTableDetails CreationDateTime
AwsDynamoDbTableBillingModeSummary LastUpdateToPayPerRequestDateTime
AwsDynamoDbTableProvisionedThroughput LastDecreaseDateTime LastIncreaseDateTime
AwsDynamoDbTableRestoreSummary RestoreDateTime
AwsDynamoDbTableSseDescription InaccessibleEncryptionDateTime
AwsApiGatewayStageDetails CreatedDate LastUpdatedDate
AwsApiGatewayRestApiDetails CreatedDate
AwsCertificateManagerCertificateDetails CreatedAt ImportedAt IssuedAt NotAfter NotBefore
AwsCertificateManagerCertificateRenewalSummary UpdatedAt
AwsRedshiftClusterDetails ClusterCreateTime ExpectedNextSnapshotScheduleTime NextMaintenanceWindowStartTime
AwsRedshiftClusterDeferredMaintenanceWindow DeferMaintenanceEndTime DeferMaintenanceStartTime
AwsRedshiftClusterLoggingStatus LastFailureTime LastSuccessfulDeliveryTime
AwsElbLoadBalancerDetails CreatedTime
AwsIamGroupDetails CreateDate
AwsIamRoleDetails CreateDate
AwsIamInstanceProfile CreateDate
AwsIamInstanceProfileRole CreateDate
AwsLambdaFunctionDetails LastModified
AwsLambdaLayerVersionDetails CreatedDate
AwsRdsDbInstanceDetails InstanceCreateTime LatestRestorableTime
AwsRdsDbClusterSnapshotDetails SnapshotCreateTime ClusterCreateTime
AwsRdsDbClusterDetails ClusterCreateTime
ContainerDetails LaunchedAt
AwsRdsEventSubscriptionDetails SubscriptionCreationTime
AwsAutoScalingLaunchConfigurationDetails CreatedTime
AwsEc2VpnConnectionVgwTelemetryDetails LastStatusChange
AwsEcrContainerImageDetails ImagePublishedAt
Note UpdatedAt
VulnerabilityVendor VendorCreatedAt VendorUpdatedAt
PatchSummary OperationStartTime OperationEndTime
AwsApiCallAction FirstSeen LastSeen`
