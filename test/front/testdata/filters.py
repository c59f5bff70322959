"""Asks Parry's GetFindings with every field that boto3 knows, and pages through what there is.

    filters.py ENDPOINT ACCESS_KEY SECRET

Prints one JSON object: the number of fields, what was answered wrongly, and the ids by each order.
"""

import json
import sys

import boto3

hub = boto3.client("securityhub", endpoint_url=sys.argv[1], region_name="us-east-1", aws_access_key_id=sys.argv[2], aws_secret_access_key=sys.argv[3])


def ids(filters, sort=None, size=7):
    pages = hub.get_paginator("get_findings").paginate(
        Filters=filters, SortCriteria=sort or [{"Field": "Id", "SortOrder": "asc"}], PaginationConfig={"PageSize": size}
    )
    return [f["Id"] for page in pages for f in page["Findings"]]


everything = ids({}, size=100)
shape = hub.meta.service_model.shape_for("AwsSecurityFindingFilters")
wrong = []


def expect(field, test, want):
    got = ids({field: [test]}, size=100)
    if want is not None and got != want:
        wrong.append(f"{field} {test}: {len(got)} findings, want {len(want)}")


for field, member in shape.members.items():
    kind = member.member.name
    if kind == "StringFilter":
        expect(field, {"Value": "no such value", "Comparison": "EQUALS"}, [])
        expect(field, {"Value": "no such value", "Comparison": "PREFIX"}, [])
        expect(field, {"Value": "no such value", "Comparison": "NOT_EQUALS"}, everything)
    elif kind == "MapFilter":
        expect(field, {"Key": "no such key", "Value": "x", "Comparison": "EQUALS"}, [])
        expect(field, {"Key": "no such key", "Value": "x", "Comparison": "NOT_EQUALS"}, everything)
    elif kind == "DateFilter":
        expect(field, {"Start": "2199-01-01T00:00:00Z"}, [])
        expect(field, {"DateRange": {"Value": 1, "Unit": "DAYS"}}, None)
    elif kind == "NumberFilter":
        expect(field, {"Gte": 1e9}, [])
    elif kind == "IpFilter":
        expect(field, {"Cidr": "203.0.113.0/24"}, [])
    elif kind == "KeywordFilter":
        expect(field, {"Value": "no such value"}, [])
    elif kind == "BooleanFilter":
        expect(field, {"Value": False}, everything)
    else:
        wrong.append(f"{field} is a {kind}")

orders = {}
for field in ["Title", "SeverityLabel", "Severity.Normalized", "ProductName", "UpdatedAt"]:
    for order in ["asc", "desc"]:
        got = ids({}, [{"Field": field, "SortOrder": order}], size=3)
        if sorted(got) != sorted(everything):
            wrong.append(f"sorted by {field} {order}: {len(got)} findings, want {len(everything)}")
        orders[f"{field} {order}"] = got

json.dump({"fields": len(shape.members), "wrong": wrong, "all": everything, "orders": orders}, sys.stdout)
