# The role that Parry takes in a member account, as in member.yaml: for those who do not use StackSets. It holds what the
# playbooks and runbooks below need, with their reads, their way back and the listings of sweeps, and nothing else.
# Written by parry org connect: write it again when playbooks are added, see docs/connect.md.
#
#   EC2.13  Close port 22 of a security group to the world (Parry-RevokeSecurityGroupRules)
#   EC2.14  Close port 3389 of a security group to the world (Parry-RevokeSecurityGroupRules)
#   EC2.2   Take the rules from the default security group of a VPC (Parry-RevokeSecurityGroupRules)
#   EC2.7   Encrypt new EBS volumes by default (Parry-EnableEbsEncryptionByDefault)
#   IAM.7   Strengthen the password policy for IAM users (Parry-StrengthenIamPasswordPolicy)
#   KMS.4   Rotate a KMS key (Parry-EnableKmsKeyRotation)
#   S3.1    Block public access to S3 for an account (Parry-BlockS3AccountPublicAccess)
#   S3.2    Close an S3 bucket that the public can read (Parry-RemoveS3BucketPublicAccess)
#   S3.3    Close an S3 bucket that the public can write (Parry-RemoveS3BucketPublicAccess)
#   S3.8    Block public access to an S3 bucket (Parry-BlockS3BucketPublicAccess)

terraform {
  required_version = ">= 1.3"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 4.0"
    }
  }
}

variable "server_principal_arn" {
  description = "The role or user of Parry's server, output ServerPrincipalArn of the stack of hub.yaml. It has to be there before."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:(role|user)/[A-Za-z0-9_+=,.@/-]+$", var.server_principal_arn))
    error_message = "The server's principal is the ARN of a role or a user."
  }
}

variable "external_id" {
  description = "organization.external_id of parry.yaml."
  type        = string

  validation {
    condition     = can(regex("^[A-Za-z0-9_+=,.@:/-]{2,}$", var.external_id))
    error_message = "An external id has 2 or more letters, digits and characters of _+=,.@:/-."
  }
}

variable "role_name" {
  description = "organization.member_role of parry.yaml."
  type        = string
  default     = "ParryMemberRole"
}

variable "permissions_boundary_arn" {
  description = "A permissions boundary for the role; null for none."
  type        = string
  default     = null
}

data "aws_partition" "current" {}

data "aws_iam_policy_document" "trust" {
  # Parry's server alone, with the external id, and never without saying for whom it acts: the source identity stands in
  # every event of CloudTrail.
  statement {
    sid     = "ParryAssumes"
    effect  = "Allow"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "AWS"
      identifiers = [var.server_principal_arn]
    }

    condition {
      test     = "StringEquals"
      variable = "sts:ExternalId"
      values   = [var.external_id]
    }

    condition {
      test     = "StringLike"
      variable = "sts:SourceIdentity"
      values   = ["?*"]
    }
  }

  statement {
    sid     = "ParrySaysForWhom"
    effect  = "Allow"
    actions = ["sts:SetSourceIdentity"]

    principals {
      type        = "AWS"
      identifiers = [var.server_principal_arn]
    }
  }

  # Sessions are marked with what they are for. Other tags might open what is granted by tags.
  statement {
    sid     = "ParrySaysWhatFor"
    effect  = "Allow"
    actions = ["sts:TagSession"]

    principals {
      type        = "AWS"
      identifiers = [var.server_principal_arn]
    }

    condition {
      test     = "ForAllValues:StringLike"
      variable = "aws:TagKeys"
      values   = ["parry:*"]
    }
  }
}

resource "aws_iam_role" "parry" {
  name                 = var.role_name
  description          = "Parry remediates security findings with this role"
  assume_role_policy   = data.aws_iam_policy_document.trust.json
  permissions_boundary = var.permissions_boundary_arn
}

data "aws_iam_policy_document" "parry" {
  statement {
    sid    = "Ec2F122F0CD"
    effect = "Allow"

    actions = [
      "ec2:AuthorizeSecurityGroupEgress",
      "ec2:AuthorizeSecurityGroupIngress",
      "ec2:RevokeSecurityGroupEgress",
      "ec2:RevokeSecurityGroupIngress",
    ]

    resources = ["arn:${data.aws_partition.current.partition}:ec2:*:*:security-group/*"]
  }

  statement {
    sid    = "SeveralCDBCAE15"
    effect = "Allow"

    actions = [
      "ec2:DescribeRegions",
      "ec2:DescribeSecurityGroups",
      "ec2:DisableEbsEncryptionByDefault",
      "ec2:EnableEbsEncryptionByDefault",
      "ec2:GetEbsEncryptionByDefault",
      "iam:DeleteAccountPasswordPolicy",
      "iam:GetAccountPasswordPolicy",
      "iam:UpdateAccountPasswordPolicy",
      "kms:ListKeys",
      "s3:GetAccountPublicAccessBlock",
      "s3:ListAllMyBuckets",
      "s3:PutAccountPublicAccessBlock",
    ]

    resources = ["*"]
  }

  statement {
    sid    = "KmsD94DE9C8"
    effect = "Allow"

    actions = [
      "kms:DescribeKey",
      "kms:DisableKeyRotation",
      "kms:EnableKeyRotation",
      "kms:GetKeyRotationStatus",
    ]

    resources = ["arn:${data.aws_partition.current.partition}:kms:*:*:key/*"]
  }

  statement {
    sid    = "S33414FFD7"
    effect = "Allow"

    actions = [
      "s3:DeleteBucketPolicy",
      "s3:GetBucketAcl",
      "s3:GetBucketPolicy",
      "s3:GetBucketPublicAccessBlock",
      "s3:PutBucketAcl",
      "s3:PutBucketPolicy",
      "s3:PutBucketPublicAccessBlock",
    ]

    resources = ["arn:${data.aws_partition.current.partition}:s3:::*"]
  }
}

resource "aws_iam_policy" "parry" {
  name        = "${var.role_name}-Playbooks"
  description = "What Parry's playbooks need, derived from their runbooks"
  policy      = data.aws_iam_policy_document.parry.json
}

resource "aws_iam_role_policy_attachment" "parry" {
  role       = aws_iam_role.parry.name
  policy_arn = aws_iam_policy.parry.arn
}


output "role_arn" {
  value = aws_iam_role.parry.arn
}
