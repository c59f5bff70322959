package guardduty

import (
	"strings"
	"testing"
)

// The pairs are of the table "Interpreting GuardDuty finding names in AWS
// Security Hub" of GuardDuty's user guide, one or more of each of its forms.
const documented = `
AttackSequence:IAM/CompromisedCredentials | TTPs/AttackSequence:IAM/CompromisedCredentials
Backdoor:EC2/Spambot | TTPs/Command and Control/Backdoor:EC2-Spambot
Backdoor:EC2/DenialOfService.Dns | Effects/Denial of Service/Backdoor:EC2-DenialOfService.Dns
Backdoor:Lambda/C&CActivity.B | TTPs/Command and Control/Backdoor:Lambda-C&CActivity.B
Backdoor:Runtime/C&CActivity.B!DNS | TTPs/Command and Control/Backdoor:Runtime-C&CActivity.B!DNS
Behavior:EC2/NetworkPortUnusual | Unusual Behaviors/VM/Behavior:EC2-NetworkPortUnusual
CredentialAccess:IAMUser/AnomalousBehavior | TTPs/Credential Access/IAMUser-AnomalousBehavior
CredentialAccess:Kubernetes/AnomalousBehavior.SecretsAccessed | TTPs/AnomalousBehavior/CredentialAccess:Kubernetes-SecretsAccessed
CredentialAccess:Kubernetes/MaliciousIPCaller | TTPs/CredentialAccess/CredentialAccess:Kubernetes-MaliciousIPCaller
CredentialAccess:RDS/AnomalousBehavior.FailedLogin | TTPs/Credential Access/CredentialAccess:RDS-AnomalousBehavior.FailedLogin
CryptoCurrency:EC2/BitcoinTool.B!DNS | TTPs/Command and Control/CryptoCurrency:EC2-BitcoinTool.B!DNS
DefenseEvasion:EC2/UnusualDNSResolver | TTPs/DefenseEvasion/EC2:Unusual-DNS-Resolver
DefenseEvasion:IAMUser/AnomalousBehavior | TTPs/Defense Evasion/IAMUser-AnomalousBehavior
DefenseEvasion:IAMUser/BedrockLoggingDisabled | TTPs/Defense Evasion/DefenseEvasion:IAMUser-BedrockLoggingDisabled
DefenseEvasion:Kubernetes/TorIPCaller | TTPs/DefenseEvasion/DefenseEvasion:Kubernetes-TorIPCaller
DefenseEvasion:Runtime/FilelessExecution | TTPs/Defense Evasion/DefenseEvasion:Runtime-FilelessExecution
DefenseEvasion:Runtime/PtraceAntiDebugging | TTPs/DefenseEvasion/DefenseEvasion:Runtime-PtraceAntiDebugging
Discovery:IAMUser/AnomalousBehavior | TTPs/Discovery/IAMUser-AnomalousBehavior
Discovery:Kubernetes/AnomalousBehavior.PermissionChecked | TTPs/AnomalousBehavior/Discovery:Kubernetes-PermissionChecked
Discovery:Kubernetes/SuccessfulAnonymousAccess | TTPs/Discovery/Discovery:Kubernetes-SuccessfulAnonymousAccess
Discovery:RDS/TorIPCaller | TTPs/Discovery/RDS-TorIPCaller
Discovery:Runtime/SuspiciousCommand | TTPs/Discovery/Discovery:Runtime-SuspiciousCommand
Discovery:S3/AnomalousBehavior | TTPs/Discovery:S3-AnomalousBehavior
Discovery:S3/MaliciousIPCaller.Custom | TTPs/Discovery:S3-MaliciousIPCaller.Custom
Exfiltration:IAMUser/AnomalousBehavior | TTPs/Exfiltration/IAMUser-AnomalousBehavior
Exfiltration:S3/MaliciousIPCaller | TTPs/Exfiltration:S3-MaliciousIPCaller
Execution:Kubernetes/ExecInKubeSystemPod | TTPs/Execution/Execution:Kubernetes-ExecInKubeSystemPod
Execution:EC2/MaliciousFile!Snapshot | TTPs/Execution/Execution:EC2-MaliciousFile!Snapshot
Execution:Runtime/ReverseShell | TTPs/Execution/Execution:Runtime-ReverseShell
Impact:EC2/AbusedDomainRequest.Reputation | TTPs/Impact:EC2-AbusedDomainRequest.Reputation
Impact:EC2/MaliciousDomainRequest.Custom | TTPs/Impact/Impact:EC2-MaliciousDomainRequest.Custom
Impact:EC2/PortSweep | TTPs/Impact/Impact:EC2-PortSweep
Impact:Runtime/BitcoinDomainRequest.Reputation | TTPs/Impact/Impact:Runtime-BitcoinDomainRequest.Reputation
Impact:S3/AnomalousBehavior.Delete | TTPs/Impact:S3-AnomalousBehavior.Delete
InitialAccess:IAMUser/AnomalousBehavior | TTPs/Initial Access/IAMUser-AnomalousBehavior
Object:S3/MaliciousFile | TTPs/Object/Object:S3-MaliciousFile
PenTest:IAMUser/KaliLinux | TTPs/PenTest:IAMUser/KaliLinux
PenTest:S3/KaliLinux | TTPs/PenTest:S3-KaliLinux
Persistence:IAMUser/NetworkPermissions | TTPs/Persistence/Persistence:IAMUser-NetworkPermissions
Persistence:Kubernetes/AnomalousBehavior.WorkloadDeployed!ContainerWithSensitiveMount | TTPs/AnomalousBehavior/Persistence:Kubernetes-WorkloadDeployed!ContainerWithSensitiveMount
Policy:IAMUser/RootCredentialUsage | TTPs/Policy:IAMUser-RootCredentialUsage
Policy:Kubernetes/ExposedDashboard | Software and Configuration Checks/AWS Security Best Practices/Policy:Kubernetes-ExposedDashboard
Policy:S3/AccountBlockPublicAccessDisabled | TTPs/Policy:S3-AccountBlockPublicAccessDisabled
Policy:S3/BucketBlockPublicAccessDisabled | Effects/Data Exposure/Policy:S3-BucketBlockPublicAccessDisabled
PrivilegeEscalation:IAMUser/AdministrativePermissions | TTPs/Privilege Escalation/PrivilegeEscalation:IAMUser-AdministrativePermissions
PrivilegeEscalation:Kubernetes/AnomalousBehavior.RoleCreated | TTPs/AnomalousBehavior/PrivilegeEscalation:Kubernetes-RoleCreated
PrivilegeEscalation:Kubernetes/PrivilegedContainer | TTPs/PrivilegeEscalation/PrivilegeEscalation:Kubernetes-PrivilegedContainer
PrivilegeEscalation:Runtime/RuncContainerEscape | TTPs/Privilege Escalation/PrivilegeEscalation:Runtime-RuncContainerEscape
PrivilegeEscalation:Runtime/SuspiciousCommand | Software and Configuration Checks/PrivilegeEscalation:Runtime-SuspiciousCommand
Recon:EC2/Portscan | TTPs/Discovery/Recon:EC2-Portscan
Recon:IAMUser/TorIPCaller | TTPs/Discovery/Recon:IAMUser-TorIPCaller
ResourceConsumption:IAMUser/ComputeResources | Unusual Behaviors/User/ResourceConsumption:IAMUser-ComputeResources
Stealth:IAMUser/CloudTrailLoggingDisabled | TTPs/Defense Evasion/Stealth:IAMUser-CloudTrailLoggingDisabled
Stealth:S3/ServerAccessLoggingDisabled | TTPs/Defense Evasion/Stealth:S3-ServerAccessLoggingDisabled
Trojan:EC2/DGADomainRequest.C!DNS | TTPs/Command and Control/Trojan:EC2-DGADomainRequest.C!DNS
Trojan:EC2/DriveBySourceTraffic!DNS | TTPs/Initial Access/Trojan:EC2-DriveBySourceTraffic!DNS
Trojan:Lambda/DropPoint | Effects/Data Exfiltration/Trojan:Lambda-DropPoint
UnauthorizedAccess:EC2/MaliciousIPCaller.Custom | TTPs/Command and Control/UnauthorizedAccess:EC2-MaliciousIPCaller.Custom
UnauthorizedAccess:EC2/MetadataDNSRebind | TTPs/UnauthorizedAccess:EC2-MetadataDNSRebind
UnauthorizedAccess:EC2/SSHBruteForce | TTPs/Initial Access/UnauthorizedAccess:EC2-SSHBruteForce
UnauthorizedAccess:EC2/TorRelay | Effects/Resource Consumption/UnauthorizedAccess:EC2-TorRelay
UnauthorizedAccess:IAMUser/ConsoleLogin | Unusual Behaviors/User/UnauthorizedAccess:IAMUser-ConsoleLogin
UnauthorizedAccess:IAMUser/ConsoleLoginSuccess.B | TTPs/UnauthorizedAccess:IAMUser-ConsoleLoginSuccess.B
UnauthorizedAccess:IAMUser/InstanceCredentialExfiltration.OutsideAWS | Effects/Data Exfiltration/UnauthorizedAccess:IAMUser-InstanceCredentialExfiltration.OutsideAWS
UnauthorizedAccess:IAMUser/MaliciousIPCaller.Custom | TTPs/UnauthorizedAccess:IAMUser-MaliciousIPCaller.Custom
UnauthorizedAccess:IAMUser/TorIPCaller | TTPs/Command and Control/UnauthorizedAccess:IAMUser-TorIPCaller
UnauthorizedAccess:S3/TorIPCaller | TTPs/UnauthorizedAccess:S3-TorIPCaller
UnauthorizedAccess:Runtime/TorClient | Effects/Resource Consumption/UnauthorizedAccess:Runtime-TorClient`

func TestTypesAreThoseOfSecurityHub(t *testing.T) {
	t.Parallel()
	n := 0
	for line := range strings.Lines(documented) {
		in, want, ok := strings.Cut(strings.TrimSpace(line), " | ")
		if !ok {
			continue
		}
		n++
		if got := asffType(in); got != want {
			t.Errorf("%s: got %q, want %q", in, got, want)
		}
	}
	if n < 60 {
		t.Errorf("only %d pairs", n)
	}
}
