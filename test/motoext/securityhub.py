"""AWS Security Hub: EnableOrganizationAdminAccount registers the delegated
administrator with AWS Organizations, and ListOrganizationAdminAccounts shows it.

moto remembers the account and tells nobody.
"""

import json

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
