# Parry's hub as in hub.yaml, with the custom action: for those who do not use CloudFormation. For the account that
# administers Security Hub, with the provider in its aggregation Region. Written by parry org connect: write it again
# rather than edit it, see docs/connect.md.

terraform {
  required_version = ">= 1.3"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }
  }
}

variable "server_kind" {
  description = "What runs Parry's server. A role is made for EC2, ECS and EKS (Pod Identity); else the permissions are attached to one that is there."
  type        = string
  default     = "ec2"

  validation {
    condition     = contains(["ec2", "ecs", "eks", "existing-role", "existing-user"], var.server_kind)
    error_message = "The server is ec2, ecs, eks, existing-role or existing-user."
  }
}

variable "server_name" {
  description = "Name of that role or user."
  type        = string
  default     = "Parry"
}

variable "member_role" {
  description = "Name of the role that Parry takes in every member account."
  type        = string
  default     = "ParryMemberRole"
}

variable "queue_name" {
  description = "Name of the queue; that of its dead letters ends in -dead."
  type        = string
  default     = "parry-findings"
}

variable "action_id" {
  description = "Id of the custom action of Security Hub that asks for a remediation."
  type        = string
  default     = "ParryRemediate"
}

variable "forwarding_accounts" {
  description = "Other accounts whose rules forward events to the event bus. Other Regions of this account need not be named."
  type        = list(string)
  default     = []
}

variable "topics" {
  description = "ARNs of the SNS topics that Parry announces to."
  type        = list(string)
  default     = []
}

variable "security_hub" {
  description = "Whether to take Security Hub CSPM, findings in ASFF of all accounts and linked Regions"
  type        = bool
  default     = true
}

variable "security_hub_v2" {
  description = "Whether to take Security Hub, findings in OCSF"
  type        = bool
  default     = false
}

variable "guard_duty" {
  description = "Whether to take Amazon GuardDuty"
  type        = bool
  default     = true
}

variable "inspector" {
  description = "Whether to take Amazon Inspector"
  type        = bool
  default     = true
}

variable "macie" {
  description = "Whether to take Amazon Macie"
  type        = bool
  default     = true
}

variable "access_analyzer" {
  description = "Whether to take IAM Access Analyzer"
  type        = bool
  default     = true
}

variable "follow_organization" {
  description = "organization.sync.enabled of parry.yaml, with this account as a delegated administrator"
  type        = bool
  default     = false
}

variable "write_back" {
  description = "sources.hubs[].write_back of parry.yaml"
  type        = bool
  default     = false
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.name
  is_user   = var.server_kind == "existing-user"
  make_role = contains(["ec2", "ecs", "eks"], var.server_kind)

  # Every rule that sends to the queue.
  rules = { for name, rule in {
    "parry-security-hub" = {
      on          = var.security_hub
      bus         = null
      description = "Security Hub CSPM, findings in ASFF of all accounts and linked Regions"
      pattern = jsonencode({
        source = ["aws.securityhub"]
        detail-type = [
          "Security Hub Findings - Imported",
        ]
      })
    }
    "parry-security-hub-v2" = {
      on          = var.security_hub_v2
      bus         = null
      description = "Security Hub, findings in OCSF"
      pattern = jsonencode({
        source = ["aws.securityhub"]
        detail-type = [
          "Findings Imported V2",
        ]
      })
    }
    "parry-guardduty" = {
      on          = var.guard_duty
      bus         = null
      description = "Amazon GuardDuty"
      pattern = jsonencode({
        source = ["aws.guardduty"]
        detail-type = [
          "GuardDuty Finding",
        ]
      })
    }
    "parry-inspector" = {
      on          = var.inspector
      bus         = null
      description = "Amazon Inspector"
      pattern = jsonencode({
        source = ["aws.inspector2"]
        detail-type = [
          "Inspector2 Finding",
        ]
      })
    }
    "parry-macie" = {
      on          = var.macie
      bus         = null
      description = "Amazon Macie"
      pattern = jsonencode({
        source = ["aws.macie"]
        detail-type = [
          "Macie Finding",
        ]
      })
    }
    "parry-access-analyzer" = {
      on          = var.access_analyzer
      bus         = null
      description = "IAM Access Analyzer"
      pattern = jsonencode({
        source = ["aws.access-analyzer"]
        detail-type = [
          "Access Analyzer Finding",
          "Unused Access Finding for IAM entities",
          "Internal Access Finding",
        ]
      })
    }
    "parry-actions" = {
      on          = var.security_hub
      bus         = null
      description = "People ask Parry for a remediation in Security Hub"
      pattern = jsonencode({
        source = ["aws.securityhub"]
        detail-type = [
          "Security Hub Findings - Custom Action",
          "Security Hub Findings - API Action",
        ]
        resources = ["arn:${local.partition}:securityhub:${local.region}:${local.account}:action/custom/${var.action_id}"]
      })
    }
    "parry-forwarded" = {
      on          = true
      bus         = aws_cloudwatch_event_bus.bus.name
      description = "What other Regions and accounts forward"
      pattern = jsonencode({
        source = ["aws.guardduty", "aws.inspector2", "aws.macie", "aws.access-analyzer", "aws.organizations"]
      })
    }
  } : name => rule if rule.on }
}

resource "aws_sqs_queue" "queue" {
  name                       = var.queue_name
  sqs_managed_sse_enabled    = true
  message_retention_seconds  = 1209600 # 14 days, the most that SQS keeps
  visibility_timeout_seconds = 60
  receive_wait_time_seconds  = 20

  # Parry keeps a message that it cannot finish aside after 50 receipts. What goes beyond is for a server that dies
  # before it can.
  redrive_policy = jsonencode({ deadLetterTargetArn = aws_sqs_queue.dead.arn, maxReceiveCount = 100 })
}

resource "aws_sqs_queue" "dead" {
  name                      = "${var.queue_name}-dead"
  sqs_managed_sse_enabled   = true
  message_retention_seconds = 1209600

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = ["arn:${local.partition}:sqs:${local.region}:${local.account}:${var.queue_name}"]
  })
}

# Whoever can send to the queue reports what the queue may report: these rules, and nobody else. The queue of dead letters
# takes what EventBridge could not deliver.
resource "aws_sqs_queue_policy" "queue" {
  for_each = { queue = aws_sqs_queue.queue, dead = aws_sqs_queue.dead }

  queue_url = each.value.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "RulesSend"
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = each.value.arn
      Condition = { ArnEquals = { "aws:SourceArn" = [for rule in aws_cloudwatch_event_rule.rule : rule.arn] } }
    }]
  })
}

# What other Regions and accounts forward comes here, and not to the default bus, where it would meet other rules.
resource "aws_cloudwatch_event_bus" "bus" {
  name = "parry"
}

# Other accounts may forward by rules what AWS's services announced there, and put nothing of their own.
resource "aws_cloudwatch_event_bus_policy" "bus" {
  count = length(var.forwarding_accounts) > 0 ? 1 : 0

  event_bus_name = aws_cloudwatch_event_bus.bus.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "parry-forward"
      Effect    = "Allow"
      Principal = { AWS = var.forwarding_accounts }
      Action    = "events:PutEvents"
      Resource  = aws_cloudwatch_event_bus.bus.arn
      Condition = {
        StringEquals = { "events:source" = ["aws.guardduty", "aws.inspector2", "aws.macie", "aws.access-analyzer", "aws.organizations"] }
        Bool         = { "events:eventBusInvocation" = "true" }
      }
    }]
  })
}

resource "aws_cloudwatch_event_rule" "rule" {
  for_each = local.rules

  name           = each.key
  description    = each.value.description
  event_bus_name = each.value.bus
  event_pattern  = each.value.pattern
}

resource "aws_cloudwatch_event_target" "queue" {
  for_each = local.rules

  rule           = aws_cloudwatch_event_rule.rule[each.key].name
  event_bus_name = each.value.bus
  target_id      = "queue"
  arn            = aws_sqs_queue.queue.arn

  dead_letter_config {
    arn = aws_sqs_queue.dead.arn
  }
}

resource "aws_securityhub_action_target" "remediate" {
  count = var.security_hub ? 1 : 0

  identifier  = var.action_id
  name        = "Remediate with Parry"
  description = "Plans a remediation in Parry"
}

resource "aws_iam_role" "server" {
  count = local.make_role ? 1 : 0

  name        = var.server_name
  description = "Parry's server"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = lookup({ ec2 = "ec2.amazonaws.com", ecs = "ecs-tasks.amazonaws.com", eks = "pods.eks.amazonaws.com" }, var.server_kind, "none") }
      Action    = var.server_kind == "eks" ? ["sts:AssumeRole", "sts:TagSession"] : ["sts:AssumeRole"]
    }]
  })
}

resource "aws_iam_instance_profile" "server" {
  count = var.server_kind == "ec2" ? 1 : 0

  name = var.server_name
  role = aws_iam_role.server[0].name
}

# All that the server is allowed by itself. What it changes it changes as the member role.
resource "aws_iam_policy" "server" {
  name_prefix = "parry-hub-"
  description = "What Parry's server may do by itself"

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        Sid      = "TakesTheMemberRole"
        Effect   = "Allow"
        Action   = ["sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"]
        Resource = ["arn:${local.partition}:iam::*:role/${var.member_role}"]
      },
      {
        Sid      = "CollectsFromTheQueue"
        Effect   = "Allow"
        Action   = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ReceiveMessage"]
        Resource = [aws_sqs_queue.queue.arn]
      },
      {
        Sid      = "ReadsTheHub"
        Effect   = "Allow"
        Action   = ["securityhub:DescribeActionTargets", "securityhub:GetFindings"]
        Resource = ["arn:${local.partition}:securityhub:*:${local.account}:hub/default"]
      },
      {
        Sid      = "ReadsTheAggregation"
        Effect   = "Allow"
        Action   = ["securityhub:GetFindingAggregator", "securityhub:ListFindingAggregators"]
        Resource = ["*"]
      },
      {
        Sid    = "ChecksTheRules"
        Effect = "Allow"
        Action = ["events:DescribeEventBus", "events:DescribeRule", "events:ListTargetsByRule"]
        Resource = [
          "arn:${local.partition}:events:*:${local.account}:event-bus/parry",
          "arn:${local.partition}:events:*:${local.account}:rule/parry-*",
          "arn:${local.partition}:events:*:${local.account}:rule/parry/parry-*",
        ]
      },
      ], [for statement in [
        {
          Sid      = "WritesBack"
          Effect   = "Allow"
          Action   = ["securityhub:BatchUpdateFindings"]
          Resource = ["arn:${local.partition}:securityhub:*:${local.account}:hub/default"]
        },
      ] : statement if var.write_back], [for statement in [
        {
          Sid    = "FollowsTheOrganization"
          Effect = "Allow"
          Action = [
            "organizations:DescribeAccount",
            "organizations:DescribeOrganization",
            "organizations:ListAccounts",
            "organizations:ListAccountsForParent",
            "organizations:ListOrganizationalUnitsForParent",
            "organizations:ListRoots",
            "organizations:ListTagsForResource",
          ]
          Resource = ["*"]
        },
      ] : statement if var.follow_organization], [for statement in [
        {
          Sid      = "Announces"
          Effect   = "Allow"
          Action   = ["sns:Publish"]
          Resource = var.topics
        },
      ] : statement if length(var.topics) > 0])
  })
}

resource "aws_iam_role_policy_attachment" "server" {
  count = local.is_user ? 0 : 1

  role       = local.make_role ? aws_iam_role.server[0].name : var.server_name
  policy_arn = aws_iam_policy.server.arn
}

resource "aws_iam_user_policy_attachment" "server" {
  count = local.is_user ? 1 : 0

  user       = var.server_name
  policy_arn = aws_iam_policy.server.arn
}

output "queue_url" {
  description = "sources.queues[].url of parry.yaml."
  value       = aws_sqs_queue.queue.id
}

output "event_bus_arn" {
  description = "HubEventBusArn of forward.yaml."
  value       = aws_cloudwatch_event_bus.bus.arn
}

output "server_principal_arn" {
  description = "server_principal_arn of the member role."
  value       = "arn:${local.partition}:iam::${local.account}:${local.is_user ? "user" : "role"}/${var.server_name}"
}
