"""AWS Security Hub: EnableOrganizationAdminAccount registers the delegated
administrator with AWS Organizations, and ListOrganizationAdminAccounts shows it.

moto remembers the account and tells nobody.
"""

import json

from moto.core.exceptions import JsonRESTError
from moto.organizations.models import organizations_backends
from moto.securityhub import models, responses, urls

PRINCIPAL = "securityhub.amazonaws.com"


def patch():
    backend = models.SecurityHubBackend
    enable = backend.enable_organization_admin_account

    def enable_organization_admin_account(self, admin_account_id):
        enable(self, admin_account_id)
        organization = organizations_backends[self.account_id]["aws"]
        if admin_account_id not in [a.account.id for a in organization.admins if PRINCIPAL in a.services]:
            organization.register_delegated_administrator(AccountId=admin_account_id, ServicePrincipal=PRINCIPAL)

    backend.enable_organization_admin_account = enable_organization_admin_account

    def list_organization_admin_accounts(self):
        admins = organizations_backends[self.current_account]["aws"].admins
        return json.dumps(
            {"AdminAccounts": [{"AccountId": a.account.id, "Status": "ENABLED"} for a in admins if PRINCIPAL in a.services]}
        )

    responses.SecurityHubResponse.list_organization_admin_accounts = list_organization_admin_accounts
    urls.url_paths["{0}/organization/admin$"] = responses.SecurityHubResponse.dispatch
    update()
    actions()


def update():
    """BatchUpdateFindings, which moto lacks: workflow and note of what is there."""

    def batch_update_findings(self):
        body = json.loads(self.body)
        processed, unprocessed = [], []
        for identifier in body["FindingIdentifiers"]:
            found = [f for f in self.securityhub_backend.findings if f.id == identifier["Id"] and f.data["ProductArn"] == identifier["ProductArn"]]
            if not found:
                unprocessed.append({"FindingIdentifier": identifier, "ErrorCode": "FindingNotFound", "ErrorMessage": "Finding Not Found"})
                continue
            for member in ("Workflow", "Note"):
                if member in body:
                    found[0].data[member] = body[member]
            processed.append(identifier)
        return json.dumps({"ProcessedFindings": processed, "UnprocessedFindings": unprocessed})

    responses.SecurityHubResponse.batch_update_findings = batch_update_findings
    urls.url_paths["{0}/findings/batchupdate$"] = responses.SecurityHubResponse.dispatch
    update_get()


def update_get():
    """GetFindings says that Security Hub is off, where it was never turned on and nothing
    was imported; moto answers that there are no findings."""

    get = models.SecurityHubBackend.get_findings

    def get_findings(self, *args, **kwargs):
        if not self.enabled and not self.findings:
            raise models.RESTError("InvalidAccessException", f"Account {self.account_id} is not subscribed to AWS Security Hub")
        return get(self, *args, **kwargs)

    models.SecurityHubBackend.get_findings = get_findings


def actions():
    """Custom actions and the finding aggregator, which moto lacks."""
    answers = responses.SecurityHubResponse

    def kept(self, name):
        return self.securityhub_backend.__dict__.setdefault(name, {})

    def create_action_target(self):
        body = json.loads(self.body)
        account, region = self.current_account, self.region
        arn = f"arn:aws:securityhub:{region}:{account}:action/custom/{body['Id']}"
        if arn in kept(self, "actions"):
            raise JsonRESTError("ResourceConflictException", f"Action target {arn} already exists.")
        kept(self, "actions")[arn] = {"ActionTargetArn": arn, "Name": body["Name"], "Description": body["Description"]}
        return json.dumps({"ActionTargetArn": arn})

    def describe_action_targets(self):
        known = kept(self, "actions")
        wanted = json.loads(self.body or "{}").get("ActionTargetArns") or list(known)
        for arn in wanted:
            if arn not in known:
                raise ResourceNotFound("ResourceNotFoundException", f"Action target {arn} not found.")
        return json.dumps({"ActionTargets": [known[arn] for arn in wanted]})

    def create_finding_aggregator(self):
        body = json.loads(self.body)
        arn = f"arn:aws:securityhub:{self.region}:{self.current_account}:finding-aggregator/a1"
        made = {"FindingAggregatorArn": arn, "FindingAggregationRegion": self.region}
        made |= {name: body[name] for name in ("RegionLinkingMode", "Regions") if name in body}
        kept(self, "aggregators")[arn] = made
        return json.dumps(made)

    def list_finding_aggregators(self):
        return json.dumps({"FindingAggregators": [{"FindingAggregatorArn": arn} for arn in kept(self, "aggregators")]})

    def get_finding_aggregator(self):
        return json.dumps(next(iter(kept(self, "aggregators").values())))

    for path, answer in {
        "actionTargets$": create_action_target,
        "actionTargets/get$": describe_action_targets,
        "findingAggregator/create$": create_finding_aggregator,
        "findingAggregator/list$": list_finding_aggregators,
        "findingAggregator/get/(?P<arn>.+)$": get_finding_aggregator,
    }.items():
        setattr(answers, answer.__name__, answer)
        urls.url_paths["{0}/" + path] = answers.dispatch


class ResourceNotFound(JsonRESTError):
    code = 404
