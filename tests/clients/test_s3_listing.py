"""Listings through boto3: both versions, delimiters, paging, encoding."""

import pytest
from botocore.exceptions import ClientError

KEYS = [
    "/leading", "a b", "a&b<c>", "a+b", "photos/1.jpg", "photos/2.jpg", "photos/deep/3.jpg",
    "videos/1.mp4", "z", "é/ü",
]


@pytest.fixture
def listed(client, bucket):
    s3 = client("s3")
    for key in KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    return s3, bucket


def everything(s3, operation, **request):
    keys, prefixes, pages = [], [], 0
    for page in s3.get_paginator(operation).paginate(**request):
        pages += 1
        keys += [each["Key"] for each in page.get("Contents", [])]
        prefixes += [each["Prefix"] for each in page.get("CommonPrefixes", [])]
    return keys, prefixes, pages


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_pages_together_hold_every_key_once_in_byte_order(listed, operation, size):
    s3, bucket = listed
    request = {"Bucket": bucket, "PaginationConfig": {"PageSize": size}}
    keys, prefixes, pages = everything(s3, operation, **request)
    assert keys == sorted(KEYS, key=str.encode)
    assert prefixes == []
    assert pages == -(-len(KEYS) // size)


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
@pytest.mark.parametrize("size", [1, 2, 1000])
def test_a_delimiter_folds(listed, operation, size):
    s3, bucket = listed
    request = {"Bucket": bucket, "Delimiter": "/", "PaginationConfig": {"PageSize": size}}
    keys, prefixes, _ = everything(s3, operation, **request)
    assert keys == ["a b", "a&b<c>", "a+b", "z"]
    assert prefixes == ["/", "photos/", "videos/", "é/"]
    keys, prefixes, _ = everything(s3, operation, Prefix="photos/", **request)
    assert keys == ["photos/1.jpg", "photos/2.jpg"]
    assert prefixes == ["photos/deep/"]


def test_the_second_version_says_what_it_was_asked(listed):
    s3, bucket = listed
    page = s3.list_objects_v2(Bucket=bucket, Prefix="p", StartAfter="photos/1.jpg", MaxKeys=1)
    assert [each["Key"] for each in page["Contents"]] == ["photos/2.jpg"]
    assert (page["KeyCount"], page["MaxKeys"], page["IsTruncated"]) == (1, 1, True)
    assert (page["Prefix"], page["StartAfter"], page["Name"]) == ("p", "photos/1.jpg", bucket)
    only = page["Contents"][0]
    assert only["Size"] == len("photos/2.jpg")
    assert only["StorageClass"] == "STANDARD" and "Owner" not in only
    owned = s3.list_objects_v2(Bucket=bucket, MaxKeys=1, FetchOwner=True)
    assert owned["Contents"][0]["Owner"]["ID"]
    none = s3.list_objects_v2(Bucket=bucket, MaxKeys=0)
    assert (none["KeyCount"], none["IsTruncated"]) == (0, False)


def test_keys_come_encoded_where_asked(listed):
    s3, bucket = listed
    # botocore decodes the answer only where it asked by itself.
    page = s3.list_objects_v2(Bucket=bucket, EncodingType="url", Prefix="a")
    assert [each["Key"] for each in page["Contents"]] == ["a%20b", "a%26b%3Cc%3E", "a%2Bb"]


def test_a_wrong_token_is_refused(listed):
    s3, bucket = listed
    with pytest.raises(ClientError) as raised:
        s3.list_objects_v2(Bucket=bucket, ContinuationToken="made up")
    assert raised.value.response["Error"]["Code"] == "InvalidArgument"


def test_a_thousand_keys_are_a_page(client, bucket):
    s3 = client("s3")
    keys = [f"{number:04}" for number in range(1003)]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    page = s3.list_objects_v2(Bucket=bucket)
    assert (page["KeyCount"], page["IsTruncated"]) == (1000, True)
    rest = s3.list_objects_v2(Bucket=bucket, ContinuationToken=page["NextContinuationToken"])
    assert [each["Key"] for each in rest["Contents"]] == keys[1000:]
    first = s3.list_objects(Bucket=bucket)
    assert first["IsTruncated"] and "NextMarker" not in first
