#!/usr/bin/env bash
# Walks Security Hub's API with the AWS CLI: what people and scripts do with it. One line for each check, "ok" or "FAIL"; the exit code is 1
# after a FAIL.
#
#   hub.sh [ENDPOINT]
#
# Credentials come from the environment. Without an endpoint it asks AWS itself, and imports two findings of the account's custom integration,
# which it archives at the end. It makes a rule, an insight and a custom action, and deletes them. AWS shows a write after some seconds: there it asks again for up to three minutes.
set -uo pipefail

endpoint=${1:-}
region=${AWS_REGION:-us-east-1}
export AWS_PAGER="" AWS_MAX_ATTEMPTS=6 AWS_RETRY_MODE=standard
patience=20
pause=0.3
[ -n "$endpoint" ] || { patience=36; pause=5; }
failed=0

call() { aws "$@" --region "$region" ${endpoint:+--endpoint-url "$endpoint"} --output text 2>&1; }
hub() { call securityhub "$@"; }

verdict() { # NAME GOT WANT: GOT holds WANT
  if [[ $2 == *"$3"* ]]; then
    printf 'ok      %s\n' "$1"
  else
    printf 'FAIL    %-60s got %.300s, want %s\n' "$1" "${2//$'\n'/ }" "$3"
    failed=1
  fi
}

answers() { # COMMAND...: it ends well
  local got
  if got=$(hub "$@"); then
    printf 'ok      %s\n' "$1"
  else
    printf 'FAIL    %-60s %.300s\n' "$1" "${got//$'\n'/ }"
    failed=1
  fi
}

eventually() { # NAME WANT COMMAND...
  local name=$1 want=$2 got=""
  shift 2
  for ((i = 0; i < patience; i++)); do
    got=$("$@")
    [[ $got == *"$want"* ]] && break
    sleep "$pause"
  done
  verdict "$name" "$got" "$want"
}

account=$(call sts get-caller-identity --query Account)
product="arn:aws:securityhub:$region:$account:product/$account/default"
run="conformance-cli-$$-$RANDOM"
now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
later=$(date -u -d '+1 minute' +%Y-%m-%dT%H:%M:%SZ)

finding() { # NAME SEVERITY UPDATED STATE
  printf '{"SchemaVersion":"2018-10-08","Id":"%s/%s","ProductArn":"%s","GeneratorId":"%s","AwsAccountId":"%s","CreatedAt":"%s","UpdatedAt":"%s",' \
    "$run" "$1" "$product" "$run" "$account" "$now" "$3"
  printf '"Title":"%s","Description":"d","Severity":{"Label":"%s"},"Types":["Effects"],"RecordState":"%s","Resources":[{"Type":"Other","Id":"x"}]}' "$1" "$2" "$4"
}

mine="{\"GeneratorId\":[{\"Value\":\"$run\",\"Comparison\":\"EQUALS\"}]}"
both="[$(finding a HIGH "$now" ACTIVE),$(finding b LOW "$now" ACTIVE)]"
who="Id=$run/a,ProductArn=$product"
criteria="{\"GeneratorId\":[{\"Value\":\"$run\",\"Comparison\":\"EQUALS\"}]}"
actions='[{"Type":"FINDING_FIELDS_UPDATE","FindingFieldsUpdate":{"Workflow":{"Status":"SUPPRESSED"}}}]'

verdict "describe-hub" "$(hub describe-hub --query HubArn)" "arn:aws:securityhub:$region:"
verdict "batch-import-findings" "$(hub batch-import-findings --findings "$both" --query '[SuccessCount,FailedCount]')" $'2\t0'
verdict "batch-import-findings of what is no finding" \
  "$(hub batch-import-findings --findings "[$(finding bad URGENT "$now" ACTIVE)]" --query 'FailedFindings[].[ErrorCode,ErrorMessage]')" \
  "Finding does not adhere to Amazon Finding Format. data.Severity.Label should be equal to one of the allowed values."
eventually "get-findings, filtered" "2" hub get-findings --filters "$mine" --query 'length(Findings)'
verdict "get-findings, sorted" "$(hub get-findings --filters "$mine" --sort-criteria Field=Id,SortOrder=desc --query 'Findings[].Title')" $'b\ta'
verdict "get-findings, paged" "$(hub get-findings --filters "$mine" --page-size 1 --query 'Findings[].Title' | sort | tr '\n' ' ')" "a b"
verdict "get-findings, a mix that is refused" \
  "$(hub get-findings --filters '{"Title":[{"Value":"a","Comparison":"EQUALS"},{"Value":"b","Comparison":"NOT_EQUALS"}]}')" "(InvalidInputException) when calling the GetFindings operation"
verdict "batch-update-findings" \
  "$(hub batch-update-findings --finding-identifiers "$who" "Id=none,ProductArn=$product" --workflow Status=NOTIFIED --note "Text=seen,UpdatedBy=me" --query 'UnprocessedFindings[].ErrorCode')" "FindingNotFound"
eventually "the update is there" "NOTIFIED" hub get-findings --filters "$mine" --query "Findings[?Title=='a'].Workflow.Status"
eventually "get-finding-history" "BATCH_UPDATE_FINDINGS" hub get-finding-history --finding-identifier "$who" --query 'Records[].UpdateSource.Type'
rule=$(hub create-automation-rule --rule-name "$run" --rule-order 950 --description d --rule-status DISABLED --criteria "$criteria" --actions "$actions" --tags team=one --query RuleArn)
verdict "create-automation-rule" "$rule" ":automation-rule/"
verdict "list-automation-rules" "$(hub list-automation-rules --query 'AutomationRulesMetadata[].RuleArn')" "$rule"
verdict "batch-update-automation-rules" \
  "$(hub batch-update-automation-rules --update-automation-rules-request-items "RuleArn=$rule,RuleOrder=951" --query ProcessedAutomationRules)" "$rule"
verdict "batch-get-automation-rules" "$(hub batch-get-automation-rules --automation-rules-arns "$rule" --query 'Rules[].RuleOrder')" "951"
verdict "tag-resource" "$(hub tag-resource --resource-arn "$rule" --tags more=two; hub list-tags-for-resource --resource-arn "$rule" --query Tags.more)" "two"
verdict "untag-resource" "$(hub untag-resource --resource-arn "$rule" --tag-keys more; hub list-tags-for-resource --resource-arn "$rule" --query Tags.more)" "None"
verdict "batch-delete-automation-rules" "$(hub batch-delete-automation-rules --automation-rules-arns "$rule" --query ProcessedAutomationRules)" "$rule"
insight=$(hub create-insight --name "$run" --filters "$mine" --group-by-attribute SeverityLabel --query InsightArn)
verdict "create-insight" "$insight" ":insight/$account/custom/"
eventually "get-insights" "$run" hub get-insights --insight-arns "$insight" --query 'Insights[].Name'
verdict "get-insights, paged" "$(hub get-insights --page-size 1 --query 'Insights[].InsightArn')" "$insight"
eventually "get-insight-results" $'HIGH\t1' hub get-insight-results --insight-arn "$insight" --query 'InsightResults.ResultValues[].[GroupByAttributeValue,Count]'
answers update-insight --insight-arn "$insight" --name "$run renamed"
eventually "the insight is renamed" "$run renamed" hub get-insights --insight-arns "$insight" --query 'Insights[].Name'
verdict "delete-insight" "$(hub delete-insight --insight-arn "$insight" --query InsightArn)" "$insight"
eventually "an insight that is deleted" "(ResourceNotFoundException) when calling the GetInsightResults operation" hub get-insight-results --insight-arn "$insight"
id="cli$$x$RANDOM"
action=$(hub create-action-target --id "$id" --name "$id" --description d --query ActionTargetArn)
verdict "create-action-target" "$action" ":action/custom/$id"
verdict "create-action-target, an id that is taken" \
  "$(hub create-action-target --id "$id" --name "$id" --description d)" "(ResourceConflictException) when calling the CreateActionTarget operation"
verdict "describe-action-targets, paged" "$(hub describe-action-targets --page-size 1 --query 'ActionTargets[].ActionTargetArn')" "$action"
answers update-action-target --action-target-arn "$action" --description changed
eventually "the action is changed" "changed" hub describe-action-targets --action-target-arns "$action" --query 'ActionTargets[].Description'
verdict "delete-action-target" "$(hub delete-action-target --action-target-arn "$action" --query ActionTargetArn)" "$action"
eventually "an action that is deleted" "(ResourceNotFoundException) when calling the DescribeActionTargets operation" hub describe-action-targets --action-target-arns "$action"
verdict "describe-standards" "$(hub describe-standards --query 'Standards[].StandardsArn')" "aws-foundational-security-best-practices"
verdict "list-security-control-definitions" "$(hub list-security-control-definitions --query "SecurityControlDefinitions[?SecurityControlId=='S3.1'].SecurityControlId")" "S3.1"
verdict "get-security-control-definition" "$(hub get-security-control-definition --security-control-id S3.1 --query SecurityControlDefinition.SecurityControlId)" "S3.1"
verdict "describe-products" "$(hub describe-products --query 'Products[].ProductArn')" ":product/aws/guardduty"
answers list-enabled-products-for-import
answers list-members
answers get-invitations-count
answers list-finding-aggregators
answers get-enabled-standards
if [ -n "$endpoint" ]; then
  answers get-findings-v2 --max-items 1
  verdict "disable-security-hub is refused" "$(hub disable-security-hub)" "(InvalidAccessException) when calling the DisableSecurityHub operation"
  verdict "get-resources-v2 is not served" "$(hub get-resources-v2)" "(UnknownOperationException) when calling the GetResourcesV2 operation"
fi
verdict "the findings are archived" \
  "$(hub batch-import-findings --findings "[$(finding a HIGH "$later" ARCHIVED),$(finding b LOW "$later" ARCHIVED)]" --query SuccessCount)" "2"
exit "$failed"
