"""Buckets through boto3."""

import pytest
from botocore.exceptions import ClientError

ACCOUNT = "123456789012"


def code(raised) -> tuple[str, int]:
    response = raised.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_create_head_list_locate_delete(client, name):
    s3 = client("s3")
    assert s3.create_bucket(Bucket=name)["Location"] == f"/{name}"
    head = s3.head_bucket(Bucket=name)
    assert head["BucketRegion"] == "us-east-1"
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] is None
    listed = s3.list_buckets()
    assert name in [bucket["Name"] for bucket in listed["Buckets"]]
    assert listed["Owner"]["ID"].endswith(ACCOUNT)
    s3.delete_bucket(Bucket=name)
    with pytest.raises(ClientError) as raised:
        s3.head_bucket(Bucket=name)
    assert code(raised) == ("404", 404)


def test_list_buckets_pages_by_prefix(client, name):
    s3 = client("s3")
    names = [f"{name}-{number}" for number in range(5)]
    for each in names:
        s3.create_bucket(Bucket=each)
    pages = s3.get_paginator("list_buckets").paginate(
        Prefix=f"{name}-", PaginationConfig={"PageSize": 2}
    )
    pages = [[bucket["Name"] for bucket in page["Buckets"]] for page in pages]
    assert [len(page) for page in pages] == [2, 2, 1]
    assert sum(pages, []) == names


def test_creating_a_bucket_again_succeeds_in_the_first_region(client, bucket):
    client("s3").create_bucket(Bucket=bucket)


def test_a_bucket_with_objects_is_not_deleted(client, bucket):
    s3 = client("s3")
    s3.put_object(Bucket=bucket, Key="k", Body=b"bytes")
    with pytest.raises(ClientError) as raised:
        s3.delete_bucket(Bucket=bucket)
    assert code(raised) == ("BucketNotEmpty", 409)
    s3.delete_object(Bucket=bucket, Key="k")
    s3.delete_bucket(Bucket=bucket)


@pytest.mark.parametrize("wrong", ["UPPER", "under_score", "a..b", "192.168.0.1", "xn--a", "a-s3alias"])
def test_names_outside_the_rules_are_refused(client, wrong):
    with pytest.raises(ClientError) as raised:
        client("s3").create_bucket(Bucket=wrong)
    assert code(raised) == ("InvalidBucketName", 400)


def test_a_location_other_than_the_servers_is_refused(client, name):
    with pytest.raises(ClientError) as raised:
        client("s3").create_bucket(
            Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
    assert code(raised) == ("IllegalLocationConstraintException", 400)


def test_an_absent_bucket_is_named_as_such(client, name):
    s3 = client("s3")
    for ask in (
        lambda: s3.list_objects_v2(Bucket=name),
        lambda: s3.list_objects(Bucket=name),
        lambda: s3.put_object(Bucket=name, Key="k", Body=b"x"),
        lambda: s3.get_object(Bucket=name, Key="k"),
        lambda: s3.get_bucket_location(Bucket=name),
        lambda: s3.delete_bucket(Bucket=name),
        lambda: s3.create_multipart_upload(Bucket=name, Key="k"),
        lambda: s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": "k"}]}),
    ):
        with pytest.raises(ClientError) as raised:
            ask()
        assert code(raised) == ("NoSuchBucket", 404)
        assert "does not exist" in raised.value.response["Error"]["Message"]


def test_bucket_tags(client, bucket):
    s3 = client("s3")
    with pytest.raises(ClientError) as raised:
        s3.get_bucket_tagging(Bucket=bucket)
    assert code(raised) == ("NoSuchTagSet", 404)
    tags = [{"Key": "breed", "Value": "beagle"}, {"Key": "team", "Value": "ML ops"}]
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags
    s3.delete_bucket_tagging(Bucket=bucket)
    with pytest.raises(ClientError):
        s3.get_bucket_tagging(Bucket=bucket)
    with pytest.raises(ClientError) as raised:
        twice = [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]
        s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": twice})
    assert code(raised)[0] == "InvalidTag"


def test_versioning_was_never_enabled_and_cannot_be(client, bucket):
    s3 = client("s3")
    answer = s3.get_bucket_versioning(Bucket=bucket)
    assert "Status" not in answer and "MFADelete" not in answer
    with pytest.raises(ClientError) as raised:
        s3.put_bucket_versioning(
            Bucket=bucket, VersioningConfiguration={"Status": "Enabled"}
        )
    assert code(raised) == ("NotImplemented", 501)
    assert "PutBucketVersioning" in raised.value.response["Error"]["Message"]


def test_what_is_not_implemented_is_named(client, bucket):
    s3 = client("s3")
    asks = {
        "GetBucketAcl": lambda: s3.get_bucket_acl(Bucket=bucket),
        "GetBucketPolicy": lambda: s3.get_bucket_policy(Bucket=bucket),
        "GetBucketLifecycleConfiguration": lambda: s3.get_bucket_lifecycle_configuration(
            Bucket=bucket
        ),
        "GetBucketEncryption": lambda: s3.get_bucket_encryption(Bucket=bucket),
        "GetBucketCors": lambda: s3.get_bucket_cors(Bucket=bucket),
        "ListObjectVersions": lambda: s3.list_object_versions(Bucket=bucket),
        "GetObjectAcl": lambda: s3.get_object_acl(Bucket=bucket, Key="k"),
    }
    for operation, ask in asks.items():
        with pytest.raises(ClientError) as raised:
            ask()
        assert code(raised) == ("NotImplemented", 501)
        assert operation in raised.value.response["Error"]["Message"]


def test_another_owner_is_refused(client, bucket):
    s3 = client("s3")
    s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=ACCOUNT)
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ExpectedBucketOwner=ACCOUNT)
    with pytest.raises(ClientError) as raised:
        s3.head_bucket(Bucket=bucket, ExpectedBucketOwner="210987654321")
    assert code(raised) == ("403", 403)
    with pytest.raises(ClientError) as raised:
        s3.put_object(Bucket=bucket, Key="k", Body=b"y", ExpectedBucketOwner="210987654321")
    assert code(raised) == ("AccessDenied", 403)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"x"
