"""Conditional writes: what is sent, and what DynamoDB's answers mean."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.stub import Stubber
from moto import mock_aws

from jetway.aws.dynamodb import ABSENT, Refusal, VersionedItem, put_if, revision_of, transact, write_if

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

TABLE = "artifacts"
KEY = {"pk": {"S": "artifact#dags/a.py"}}


def make_client() -> DynamoDBClient:
    return boto3.client("dynamodb", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")


@pytest.fixture
def dynamodb() -> Iterator[DynamoDBClient]:
    with mock_aws():
        client = make_client()
        client.create_table(
            TableName=TABLE,
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield client


@pytest.fixture
def stub() -> Iterator[Stubber]:
    with Stubber(make_client()) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def put(step: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"Put": {"TableName": TABLE, "Item": step, **more}}


def test_a_write_says_whether_its_condition_held(dynamodb: DynamoDBClient) -> None:
    assert put_if(dynamodb, TABLE, KEY, ABSENT)
    assert not put_if(dynamodb, TABLE, KEY | {"holder": {"S": "b"}}, ABSENT)
    assert dynamodb.get_item(TableName=TABLE, Key=KEY)["Item"] == KEY
    assert put_if(dynamodb, TABLE, KEY | {"n": {"N": "2"}}, "#pk = :pk", values={":pk": KEY["pk"]}, names={"#pk": "pk"})
    gone: dict[str, Any] = {"TableName": TABLE, "Key": KEY, "ConditionExpression": "attribute_exists(n)"}
    assert write_if(dynamodb.delete_item, **gone)
    assert not write_if(dynamodb.delete_item, **gone)
    assert "Item" not in dynamodb.get_item(TableName=TABLE, Key=KEY)


def test_the_same_with_a_table_of_boto3(dynamodb: DynamoDBClient) -> None:
    table = boto3.resource("dynamodb", region_name="eu-central-1").Table(TABLE)
    assert write_if(table.put_item, Item={"pk": "a"}, ConditionExpression=ABSENT)
    assert not write_if(table.put_item, Item={"pk": "a"}, ConditionExpression=ABSENT)


@pytest.mark.parametrize(
    "code", ["ProvisionedThroughputExceededException", "AccessDeniedException", "TransactionConflictException"]
)
def test_trouble_is_no_answer(stub: Stubber, code: str) -> None:
    for operation in ("put_item", "put_item", "transact_write_items"):
        stub.add_client_error(operation, code)
    client: Any = stub.client
    with pytest.raises(ClientError, match=code):
        put_if(client, TABLE, KEY, ABSENT)
    with pytest.raises(ClientError, match=code):
        VersionedItem(client, TABLE, "a").put({}, onto=3)
    with pytest.raises(ClientError, match=code):
        transact(client, [put(KEY)])


def test_a_network_that_is_down_is_no_answer() -> None:
    def write(**_request: Any) -> None:
        raise EndpointConnectionError(endpoint_url="https://dynamodb")

    with pytest.raises(EndpointConnectionError):
        write_if(write)


def test_no_names_and_values_are_sent_where_there_are_none(stub: Stubber) -> None:
    stub.add_response("put_item", {}, {"TableName": TABLE, "Item": KEY, "ConditionExpression": ABSENT})
    client: Any = stub.client
    assert put_if(client, TABLE, KEY, ABSENT)


def test_a_versioned_item_is_written_only_onto_what_was_read(dynamodb: DynamoDBClient) -> None:
    item = VersionedItem(dynamodb, TABLE, "environment#update")
    assert item.get() is None
    assert item.put({"record": {"S": "one"}}, onto=0)
    assert not item.put({"record": {"S": "another first"}}, onto=0)
    read = item.get()
    stamped = {"pk": {"S": "environment#update"}, "format": {"N": "1"}}
    assert read == {**stamped, "record": {"S": "one"}, "revision": {"N": "1"}}
    assert revision_of(read) == 1
    assert item.put({"more": {"S": "two"}}, onto=1)
    assert not item.put({"record": {"S": "from one too"}}, onto=1)
    assert not item.put({"record": {"S": "from the future"}}, onto=3)
    assert item.get() == {**stamped, "more": {"S": "two"}, "revision": {"N": "2"}}


def test_what_a_versioned_item_sends(stub: Stubber) -> None:
    pk = {"pk": {"S": "a"}}
    stamped = pk | {"x": {"S": "y"}, "format": {"N": "1"}}
    first = stamped | {"revision": {"N": "1"}}
    second = stamped | {"revision": {"N": "2"}}
    stub.add_response("get_item", {}, {"TableName": TABLE, "Key": pk, "ConsistentRead": True})
    stub.add_response("put_item", {}, {"TableName": TABLE, "Item": first, "ConditionExpression": ABSENT})
    onto = {"ConditionExpression": "revision = :before", "ExpressionAttributeValues": {":before": {"N": "1"}}}
    stub.add_response("put_item", {}, {"TableName": TABLE, "Item": second, **onto})
    client: Any = stub.client
    item = VersionedItem(client, TABLE, "a")
    assert item.get() is None
    assert item.put({"x": {"S": "y"}}, onto=0)
    assert item.put({"x": {"S": "y"}}, onto=1)


def test_a_transaction_is_made_or_says_which_step_was_refused(dynamodb: DynamoDBClient) -> None:
    there = KEY | {"batch_id": {"S": "b1"}}
    assert transact(dynamodb, [put(there, ConditionExpression=ABSENT)]) == ()
    asks = {"ConditionExpression": ABSENT, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
    refusals = transact(dynamodb, [put({"pk": {"S": "other"}}, **asks), put(KEY, **asks)])
    assert refusals == (Refusal(failed=False), Refusal(failed=True, item=there))
    assert "Item" not in dynamodb.get_item(TableName=TABLE, Key={"pk": {"S": "other"}})


def cancelled(stub: Stubber, *codes: str) -> None:
    said = {"CancellationReasons": [{"Code": code} for code in codes]} if codes else {}
    stub.add_client_error("transact_write_items", "TransactionCanceledException", modeled_fields=said)


def test_a_conflict_refuses_a_transaction_and_no_step_of_it(stub: Stubber) -> None:
    cancelled(stub, "None", "TransactionConflict")
    cancelled(stub, "TransactionConflict", "ConditionalCheckFailed")
    client: Any = stub.client
    assert transact(client, [put(KEY), put(KEY)]) == (Refusal(failed=False), Refusal(failed=False))
    assert transact(client, [put(KEY), put(KEY)]) == (Refusal(failed=False), Refusal(failed=True))


@pytest.mark.parametrize("code", ["ThrottlingError", "ProvisionedThroughputExceeded"])
def test_a_partition_that_takes_no_more_just_now_is_like_a_conflict(stub: Stubber, code: str) -> None:
    """Botocore repeats no cancelled transaction, whatever it was cancelled for."""
    cancelled(stub, "None", code)
    client: Any = stub.client
    assert transact(client, [put(KEY), put(KEY)]) == (Refusal(failed=False), Refusal(failed=False))


@pytest.mark.parametrize("codes", [(), ("None", "ItemCollectionSizeLimitExceeded"), ("ValidationError", "None")])
def test_a_transaction_that_was_cancelled_for_another_cause_is_trouble(stub: Stubber, codes: tuple[str, ...]) -> None:
    cancelled(stub, *codes)
    client: Any = stub.client
    with pytest.raises(ClientError, match="TransactionCanceled"):
        transact(client, [put(KEY), put(KEY)])
