"""Amazon DynamoDB: UpdateTable changes the encryption, a table that is billed by
request has no capacity, and DescribeTimeToLive names no attribute while time to
live is off. moto ignores the first and keeps the others.
"""

from moto.dynamodb import models, responses


def patch():
    update_table = responses.DynamoHandler.update_table

    def update(self):
        if spec := self.body.get("SSESpecification"):
            table = self.dynamodb_backend.get_table(self.body["TableName"])
            if spec.get("Enabled"):
                spec.setdefault("KMSMasterKeyId", table._get_default_encryption_key(self.current_account, self.region))
            table.sse_specification = spec if spec.get("Enabled") else None
        answer = update_table(self)
        if self.body.get("BillingMode") == "PAY_PER_REQUEST":
            self.dynamodb_backend.get_table(self.body["TableName"]).throughput = {"WriteCapacityUnits": 0, "ReadCapacityUnits": 0, "NumberOfDecreasesToday": 0}
        return answer

    responses.DynamoHandler.update_table = update

    update_time_to_live = models.DynamoDBBackend.update_time_to_live

    def ttl(self, table_name, ttl_spec):
        update_time_to_live(self, table_name, ttl_spec)
        if not ttl_spec["Enabled"]:
            self.get_table(table_name).ttl.pop("AttributeName", None)

    models.DynamoDBBackend.update_time_to_live = ttl
