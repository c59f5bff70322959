"""Drives Parry's Systems Manager API with the real boto3: one story per name.

    ssm.py ENDPOINT < {"keys": {name: {"id": ..., "secret": ...}}, "account": ...}

It writes one JSON object: what each call came to, by name.
"""

import json
import sys
import time
import uuid

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

DATA = json.load(sys.stdin)
OUT = {}


def client(name):
    key = DATA["keys"][name]
    return boto3.client(
        "ssm",
        endpoint_url=sys.argv[1],
        region_name="eu-central-1",
        aws_access_key_id=key["id"],
        aws_secret_access_key=key["secret"],
        config=Config(retries={"mode": "standard", "total_max_attempts": 4}, read_timeout=20),
    )


def refused(call, **args):
    try:
        call(**args)
    except ClientError as e:
        return f"{type(e).__name__}: {e.response['Error']['Code']}: {e.response['Error']['Message']}"
    return "answered"


def wait(ssm, execution, *statuses, step=None):
    for _ in range(200):
        e = ssm.get_automation_execution(AutomationExecutionId=execution)["AutomationExecution"]
        if e["AutomationExecutionStatus"] in statuses and step in (None, e.get("CurrentStepName")):
            return e
        time.sleep(0.1)
    raise SystemExit(f"{execution} is {e['AutomationExecutionStatus']} at {e.get('CurrentStepName')}: {e.get('FailureMessage')}; wanted {statuses} {step}")


ADMIN, OPERATOR, APPROVER, READER = (client(n) for n in ("admin", "operator", "approver", "reader"))
ACCOUNT = [{"Key": "parry:account", "Value": DATA["account"]}]

DOCUMENT = """
description: Asks, halts, chooses and rests.
schemaVersion: "0.3"
parameters:
  Color: {type: String, default: red, allowedValues: [red, green]}
outputs: [Choose.NextStep]
mainSteps:
  - name: Ask
    action: aws:approve
    inputs:
      Approvers: [approver]
      Message: May it go on?
  - name: Halt
    action: aws:pause
    inputs: {}
  - name: Choose
    action: aws:branch
    inputs:
      Choices:
        - {NextStep: Rest, Variable: "{{ Color }}", StringEquals: green}
      Default: Rest
  - name: Rest
    action: aws:sleep
    inputs: {Duration: PT1S}
    isEnd: true
"""


def documents():
    made = ADMIN.create_document(Name="Story-Ask", Content=DOCUMENT, DocumentType="Automation", DocumentFormat="YAML", Tags=[{"Key": "team", "Value": "sec"}])
    OUT["created"] = made["DocumentDescription"]["DocumentVersion"]
    OUT["again"] = refused(ADMIN.create_document, Name="Story-Ask", Content=DOCUMENT, DocumentType="Automation", DocumentFormat="YAML")
    OUT["operator creates"] = refused(OPERATOR.create_document, Name="Story-Mine", Content=DOCUMENT, DocumentType="Automation", DocumentFormat="YAML")
    OUT["broken"] = refused(ADMIN.create_document, Name="Story-Bad", Content=DOCUMENT.replace("Default: Rest", "Default: Nowhere"), DocumentType="Automation", DocumentFormat="YAML")
    OUT["updated"] = ADMIN.update_document(Name="Story-Ask", Content=DOCUMENT + "# two\n", DocumentVersion="$LATEST", DocumentFormat="YAML")["DocumentDescription"]["LatestVersion"]
    OUT["default"] = ADMIN.update_document_default_version(Name="Story-Ask", DocumentVersion="2")["Description"]["DefaultVersion"]
    OUT["text"] = READER.get_document(Name="Story-Ask", DocumentVersion="1")["Content"] == DOCUMENT
    pages = READER.get_paginator("list_documents").paginate(Filters=[{"Key": "Owner", "Values": ["Self"]}], PaginationConfig={"PageSize": 1})
    OUT["listed"] = [d["Name"] for page in pages for d in page["DocumentIdentifiers"]]
    OUT["shipped"] = len(READER.list_documents(Filters=[{"Key": "Owner", "Values": ["Amazon"]}])["DocumentIdentifiers"]) > 0
    OUT["versions"] = [v["DocumentVersion"] for v in READER.list_document_versions(Name="Story-Ask")["DocumentVersions"]]
    ADMIN.create_document(Name="Other", Content=DOCUMENT, DocumentType="Automation", DocumentFormat="YAML")


def execution():
    token = str(uuid.uuid4())
    start = dict(DocumentName="Story-Ask", Parameters={"Color": ["green"]}, ClientToken=token, Tags=ACCOUNT)
    one = OPERATOR.start_automation_execution(**start)["AutomationExecutionId"]
    OUT["id length"] = len(one)
    OUT["at once"] = OPERATOR.get_automation_execution(AutomationExecutionId=one)["AutomationExecution"]["DocumentVersion"]
    OUT["token"] = OPERATOR.start_automation_execution(**start)["AutomationExecutionId"] == one
    OUT["token, other parameters"] = refused(OPERATOR.start_automation_execution, **{**start, "Parameters": {"Color": ["red"]}})
    wait(OPERATOR, one, "Waiting", step="Ask")
    OUT["operator approves"] = refused(OPERATOR.send_automation_signal, AutomationExecutionId=one, SignalType="Approve")
    OUT["admin approves"] = refused(ADMIN.send_automation_signal, AutomationExecutionId=one, SignalType="Approve")
    OUT["resume too early"] = refused(OPERATOR.send_automation_signal, AutomationExecutionId=one, SignalType="Resume", Payload={"StepName": ["Halt"]})
    APPROVER.send_automation_signal(AutomationExecutionId=one, SignalType="Approve", Payload={"Comment": ["fine"]})
    wait(OPERATOR, one, "Waiting", step="Halt")
    OPERATOR.send_automation_signal(AutomationExecutionId=one, SignalType="Resume")
    e = wait(OPERATOR, one, "Success")
    OUT["ended"] = {k: e[k] for k in ("AutomationExecutionStatus", "Outputs", "Parameters", "ExecutedBy")}
    OUT["steps"] = [[s["StepName"], s["StepStatus"]] for s in e["StepExecutions"]]
    pages = READER.get_paginator("describe_automation_step_executions").paginate(AutomationExecutionId=one, PaginationConfig={"PageSize": 1})
    OUT["paged steps"] = [s["StepName"] for page in pages for s in page["StepExecutions"]]
    OUT["stop ended"] = refused(OPERATOR.stop_automation_execution, AutomationExecutionId=one)
    OUT["signal ended"] = refused(APPROVER.send_automation_signal, AutomationExecutionId=one, SignalType="Reject")
    return one


def others():
    two = OPERATOR.start_automation_execution(DocumentName="Story-Ask", Tags=ACCOUNT)["AutomationExecutionId"]
    wait(OPERATOR, two, "Waiting", step="Ask")
    OPERATOR.stop_automation_execution(AutomationExecutionId=two, Type="Cancel")
    OUT["stopped"] = wait(OPERATOR, two, "Cancelled")["AutomationExecutionStatus"]
    three = OPERATOR.start_automation_execution(DocumentName="Story-Ask", Tags=ACCOUNT)["AutomationExecutionId"]
    wait(OPERATOR, three, "Waiting", step="Ask")
    APPROVER.send_automation_signal(AutomationExecutionId=three, SignalType="Reject", Payload={"Comment": ["not today"]})
    e = wait(OPERATOR, three, "Failed")
    OUT["rejected"] = [e["AutomationExecutionStatus"], [s["StepStatus"] for s in e["StepExecutions"] if s["StepName"] == "Ask"]]
    return two, three


def refusals():
    OUT["not listed"] = refused(OPERATOR.start_automation_execution, DocumentName="Other", Tags=ACCOUNT)
    OUT["reader starts"] = refused(READER.start_automation_execution, DocumentName="Story-Ask", Tags=ACCOUNT)
    OUT["foreign account"] = refused(client("dev-operator").start_automation_execution, DocumentName="Story-Ask", Tags=ACCOUNT)
    OUT["no account"] = refused(OPERATOR.start_automation_execution, DocumentName="Story-Ask")
    OUT["unknown"] = refused(OPERATOR.start_automation_execution, DocumentName="Nothing")
    OUT["parameter"] = refused(OPERATOR.start_automation_execution, DocumentName="Story-Ask", Parameters={"Color": ["blue"]})
    OUT["no execution"] = refused(READER.get_automation_execution, AutomationExecutionId=str(uuid.uuid4()))
    OUT["unserved"] = refused(ADMIN.put_parameter, Name="a", Value="b", Type="String")


def lists(all_ids):
    def ids(ssm, *filters):
        pages = ssm.get_paginator("describe_automation_executions").paginate(Filters=list(filters) or [{"Key": "DocumentNamePrefix", "Values": ["Story-Ask"]}], PaginationConfig={"PageSize": 1})
        return [e["AutomationExecutionId"] for page in pages for e in page["AutomationExecutionMetadataList"]]

    OUT["all"] = sorted(ids(READER)) == sorted(all_ids)
    OUT["dev sees"] = ids(client("dev-reader"))
    OUT["successes"] = ids(READER, {"Key": "ExecutionStatus", "Values": ["Success"]}, {"Key": "DocumentNamePrefix", "Values": ["Story-Ask"]}) == all_ids[:1]
    OUT["foreign get"] = refused(client("dev-reader").get_automation_execution, AutomationExecutionId=all_ids[0])
    OUT["foreign stop"] = refused(client("dev-operator").stop_automation_execution, AutomationExecutionId=all_ids[0])


def preview():
    ssm = client("dev-operator")
    started = ssm.start_execution_preview(DocumentName="Story-Ask")["ExecutionPreviewId"]
    for _ in range(100):
        p = ssm.get_execution_preview(ExecutionPreviewId=started)
        if p["Status"] in ("Success", "Failed"):
            break
        time.sleep(0.1)
    OUT["preview"] = [p["Status"], p.get("ExecutionPreview", {}).get("Automation", {}).get("StepPreviews"), p.get("StatusMessage", "")[:24]]
    OUT["preview runs"] = refused(ssm.get_automation_execution, AutomationExecutionId=started)
    OUT["foreign preview"] = refused(client("source").get_execution_preview, ExecutionPreviewId=started)


COUNTING = """
description: Puts a value where only letters may stand, and rests.
schemaVersion: "0.3"
parameters:
  Value: {type: String, default: many}
variables:
  Seen: {type: String, default: none, allowedPattern: "^[a-z]+$"}
outputs: [Choose.NextStep]
mainSteps:
  - name: Choose
    action: aws:branch
    inputs: {Choices: [{NextStep: Put, Variable: "{{ Value }}", StringEquals: x}], Default: Put}
  - name: Put
    action: aws:updateVariable
    inputs: {Name: "variable:Seen", Value: "{{ Value }}"}
  - name: Rest
    action: aws:sleep
    inputs: {Duration: PT6S}
    isEnd: true
"""


def steps_of(ssm, execution, **args):
    pages = ssm.get_paginator("describe_automation_step_executions").paginate(AutomationExecutionId=execution, PaginationConfig={"PageSize": 2}, **args)
    return [s for page in pages for s in page["StepExecutions"]]


def targets():
    """A run on targets: its children are its steps, and executions of their own."""
    run = OPERATOR.start_automation_execution(
        DocumentName="Story-Count", TargetParameterName="Value", Targets=[{"Key": "ParameterValues", "Values": ["a", "b", "c"]}], MaxConcurrency="3", MaxErrors="0", Tags=ACCOUNT
    )["AutomationExecutionId"]
    e = wait(OPERATOR, run, "Success")
    OUT["targets"] = [sorted(e["ResolvedTargets"]["ParameterValues"]), e["ResolvedTargets"]["Truncated"], e["ProgressCounters"]["SuccessSteps"], e["StepExecutionsTruncated"]]
    shown = lambda steps: [[s["StepName"], s["Action"], s["StepStatus"], s["Inputs"]] for s in steps]
    described = steps_of(READER, run)
    OUT["target steps"] = shown(sorted(described, key=lambda s: s["StepName"]))
    OUT["targets described"] = shown(described) == shown(e["StepExecutions"])
    OUT["targets reversed"] = [s["StepName"] for s in steps_of(READER, run, ReverseOrder=True)] == [s["StepName"] for s in reversed(described)]
    OUT["target filtered"] = [s["StepName"] for s in steps_of(READER, run, Filters=[{"Key": "StepName", "Values": ["b"]}])]
    children = READER.describe_automation_executions(Filters=[{"Key": "ParentExecutionId", "Values": [run]}])["AutomationExecutionMetadataList"]
    OUT["children"] = sorted(c["AutomationExecutionId"] for c in children) == sorted(s["Outputs"]["ExecutionId"][0] for s in described)
    OUT["child steps"] = [[s["StepName"], s["StepStatus"]] for s in steps_of(READER, children[0]["AutomationExecutionId"])]


def variables():
    run = OPERATOR.start_automation_execution(DocumentName="Story-Count", Tags=ACCOUNT)["AutomationExecutionId"]
    seen = []
    for _ in range(300):
        e = OPERATOR.get_automation_execution(AutomationExecutionId=run)["AutomationExecution"]
        if e["Variables"]["Seen"][0] not in seen:
            seen.append(e["Variables"]["Seen"][0])
        if seen[-1] == "many":
            break
        time.sleep(0.05)
    OUT["variables"] = [seen[-1], e["AutomationExecutionStatus"]]
    OPERATOR.stop_automation_execution(AutomationExecutionId=run, Type="Cancel")


def unplanned():
    """A run whose planning fails shows the step that failed."""
    run = OPERATOR.start_automation_execution(DocumentName="Story-Count", Parameters={"Value": ["MANY"]}, Tags=ACCOUNT)["AutomationExecutionId"]
    e = wait(OPERATOR, run, "Failed")
    OUT["unplanned"] = [[s["StepName"], s["StepStatus"], "ExecutionStartTime" in s] for s in e["StepExecutions"]]
    put = steps_of(READER, run, Filters=[{"Key": "StepExecutionStatus", "Values": ["Failed"]}])[0]
    OUT["unplanned step"] = [put["StepName"], put["FailureDetails"]["FailureStage"], put["FailureDetails"]["FailureType"], put["FailureMessage"][:70]]
    OUT["unplanned why"] = e["FailureMessage"]


documents()
ADMIN.create_document(Name="Story-Count", Content=COUNTING, DocumentType="Automation", DocumentFormat="YAML")
variables()
targets()
unplanned()
ADMIN.delete_document(Name="Story-Count")
first = execution()
rest = others()
refusals()
lists([first, *rest])
preview()
json.dump(OUT, sys.stdout)
