"""Objects through boto3: bodies, ranges, conditions, metadata, checksums, copies, tags."""

import base64
import hashlib
import zlib
from datetime import datetime, timedelta, timezone

import pytest
from botocore.exceptions import ClientError

BODY = bytes(range(256)) * 40


def code(raised) -> tuple[str, int]:
    response = raised.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.fixture
def s3(client):
    return client("s3")


def test_put_get_head_delete(s3, bucket):
    put = s3.put_object(Bucket=bucket, Key="photos/a b+é.jpg", Body=BODY, ContentType="image/jpeg")
    assert put["ETag"] == f'"{hashlib.md5(BODY).hexdigest()}"'
    got = s3.get_object(Bucket=bucket, Key="photos/a b+é.jpg")
    assert got["Body"].read() == BODY
    assert (got["ContentType"], got["ContentLength"]) == ("image/jpeg", len(BODY))
    assert got["AcceptRanges"] == "bytes"
    head = s3.head_object(Bucket=bucket, Key="photos/a b+é.jpg")
    assert (head["ETag"], head["ContentLength"]) == (put["ETag"], len(BODY))
    assert abs(datetime.now(timezone.utc) - head["LastModified"]) < timedelta(minutes=1)
    s3.delete_object(Bucket=bucket, Key="photos/a b+é.jpg")
    s3.delete_object(Bucket=bucket, Key="photos/a b+é.jpg")
    with pytest.raises(ClientError) as raised:
        s3.get_object(Bucket=bucket, Key="photos/a b+é.jpg")
    assert code(raised) == ("NoSuchKey", 404)
    with pytest.raises(ClientError) as raised:
        s3.head_object(Bucket=bucket, Key="photos/a b+é.jpg")
    assert code(raised) == ("404", 404)


def test_an_empty_object(s3, bucket):
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    assert s3.get_object(Bucket=bucket, Key="empty")["Body"].read() == b""
    with pytest.raises(ClientError) as raised:
        s3.get_object(Bucket=bucket, Key="empty", Range="bytes=0-")
    assert code(raised) == ("InvalidRange", 416)


def test_the_last_body_wins(s3, bucket):
    for number in range(3):
        s3.put_object(Bucket=bucket, Key="k", Body=f"body {number}".encode())
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"body 2"


@pytest.mark.parametrize("key", ["/valid/x.jpg", "//a", "a//b", "a/", "./a", "../../etc/passwd", "a%2Fb", "日本"])
def test_keys_are_taken_as_they_are(s3, bucket, key):
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode()
    assert [each["Key"] for each in s3.list_objects_v2(Bucket=bucket)["Contents"]] == [key]


def test_a_key_may_have_1024_bytes_and_no_more(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k" * 1024, Body=b"x")
    with pytest.raises(ClientError) as raised:
        s3.put_object(Bucket=bucket, Key="k" * 1025, Body=b"x")
    assert code(raised) == ("KeyTooLongError", 400)


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=10000-", 10000, 10240),
        ("bytes=-100", 10140, 10240),
        ("bytes=0-8388607", 0, 10240),
        ("bytes=-99999", 0, 10240),
    ],
)
def test_ranges(s3, bucket, asked, start, end):
    s3.put_object(Bucket=bucket, Key="k", Body=BODY)
    got = s3.get_object(Bucket=bucket, Key="k", Range=asked, ChecksumMode="ENABLED")
    assert got["Body"].read() == BODY[start:end]
    assert got["ContentRange"] == f"bytes {start}-{end - 1}/{len(BODY)}"
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206
    head = s3.head_object(Bucket=bucket, Key="k", Range=asked)
    assert head["ContentLength"] == end - start


def test_a_range_outside_is_not_satisfiable(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=BODY)
    with pytest.raises(ClientError) as raised:
        s3.get_object(Bucket=bucket, Key="k", Range="bytes=10240-")
    assert code(raised) == ("InvalidRange", 416)


def test_conditional_reads(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=BODY)["ETag"]
    now = datetime.now(timezone.utc)
    hour = timedelta(hours=1)
    for allowed in (
        {"IfMatch": etag},
        {"IfNoneMatch": '"other"'},
        {"IfModifiedSince": now - hour},
        {"IfUnmodifiedSince": now + hour},
        {"IfMatch": etag, "IfUnmodifiedSince": now - hour},
    ):
        assert s3.get_object(Bucket=bucket, Key="k", **allowed)["Body"].read() == BODY
        s3.head_object(Bucket=bucket, Key="k", **allowed)
    for refused, status in (
        ({"IfMatch": '"other"'}, 412),
        ({"IfUnmodifiedSince": now - hour}, 412),
        ({"IfNoneMatch": etag}, 304),
        ({"IfModifiedSince": now + timedelta(seconds=5)}, 304),
    ):
        for ask in (s3.get_object, s3.head_object):
            with pytest.raises(ClientError) as raised:
                ask(Bucket=bucket, Key="k", **refused)
            assert code(raised)[1] == status, refused


def test_conditional_writes(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"1", IfNoneMatch="*")["ETag"]
    with pytest.raises(ClientError) as raised:
        s3.put_object(Bucket=bucket, Key="k", Body=b"2", IfNoneMatch="*")
    assert code(raised) == ("PreconditionFailed", 412)
    s3.put_object(Bucket=bucket, Key="k", Body=b"3", IfMatch=etag)
    with pytest.raises(ClientError) as raised:
        s3.put_object(Bucket=bucket, Key="k", Body=b"4", IfMatch=etag)
    assert code(raised) == ("PreconditionFailed", 412)
    with pytest.raises(ClientError) as raised:
        s3.put_object(Bucket=bucket, Key="none", Body=b"5", IfMatch=etag)
    assert code(raised) == ("NoSuchKey", 404)
    with pytest.raises(ClientError) as raised:
        s3.delete_object(Bucket=bucket, Key="k", IfMatch=etag)
    assert code(raised) == ("PreconditionFailed", 412)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"3"


def test_metadata_and_content_headers_come_back(s3, bucket):
    said = {
        "CacheControl": "max-age=60",
        "ContentDisposition": 'attachment; filename="a.jpg"',
        "ContentEncoding": "gzip",
        "ContentLanguage": "de",
        "ContentType": "image/jpeg",
        "Metadata": {"breed": "beagle", "weight-kg": "11"},
        "StorageClass": "STANDARD_IA",
        "WebsiteRedirectLocation": "/elsewhere",
    }
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Expires="Thu, 01 Dec 2033 16:00:00 GMT", **said)
    for answer in (s3.get_object(Bucket=bucket, Key="k"), s3.head_object(Bucket=bucket, Key="k")):
        assert {name: answer[name] for name in said} == said
        assert answer["ExpiresString"] == "Thu, 01 Dec 2033 16:00:00 GMT"
    plain = s3.put_object(Bucket=bucket, Key="plain", Body=b"x")
    assert "ServerSideEncryption" not in plain
    assert s3.head_object(Bucket=bucket, Key="plain")["ContentType"] == "binary/octet-stream"
    with pytest.raises(ClientError) as raised:
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"a": "b" * 2048})
    assert code(raised) == ("MetadataTooLarge", 400)


def test_a_read_may_ask_for_other_headers(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ContentType="image/jpeg")
    got = s3.get_object(
        Bucket=bucket, Key="k", ResponseContentType="text/plain", ResponseCacheControl="no-store"
    )
    assert (got["ContentType"], got["CacheControl"]) == ("text/plain", "no-store")


def test_encryption_is_echoed(s3, bucket):
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms")
    assert put["ServerSideEncryption"] == "aws:kms" and "SSEKMSKeyId" not in put
    assert s3.head_object(Bucket=bucket, Key="k")["ServerSideEncryption"] == "aws:kms"
    put = s3.put_object(
        Bucket=bucket, Key="k", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId="alias/dogs"
    )
    assert put["SSEKMSKeyId"] == "alias/dogs"


@pytest.mark.parametrize(
    ("asked", "refusal", "named"),
    [
        ({"ACL": "public-read"}, "AccessControlListNotSupported", "ACLs"),
        ({"ObjectLockMode": "GOVERNANCE"}, "NotImplemented", "x-amz-object-lock-mode"),
        ({"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}, "NotImplemented", "customer"),
        ({"StorageClass": "DEEP_ARCHIVE"}, "NotImplemented", "DEEP_ARCHIVE"),
        ({"StorageClass": "MAGIC"}, "InvalidStorageClass", "not valid"),
        ({"ServerSideEncryption": "rot13"}, "InvalidArgument", "encryption method"),
    ],
)
def test_what_does_not_exist_here_is_refused_by_name(s3, bucket, asked, refusal, named):
    with pytest.raises(ClientError) as raised:
        # Customer keys are refused by botocore itself over plain HTTP unless sent by hand.
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", **asked)
    assert code(raised)[0] == refusal
    assert named in raised.value.response["Error"]["Message"]
    with pytest.raises(ClientError):
        s3.head_object(Bucket=bucket, Key="k")


def test_versions_other_than_null_do_not_exist(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    s3.get_object(Bucket=bucket, Key="k", VersionId="null")
    with pytest.raises(ClientError) as raised:
        s3.get_object(Bucket=bucket, Key="k", VersionId="abc")
    assert code(raised) == ("InvalidArgument", 400)


CHECKSUMS = {
    "CRC32": base64.b64encode(zlib.crc32(BODY).to_bytes(4, "big")).decode(),
    "SHA1": base64.b64encode(hashlib.sha1(BODY).digest()).decode(),
    "SHA256": base64.b64encode(hashlib.sha256(BODY).digest()).decode(),
}


@pytest.mark.parametrize("algorithm", CHECKSUMS)
def test_checksums_are_computed_stored_and_returned(s3, bucket, algorithm):
    member = f"Checksum{algorithm}"
    put = s3.put_object(Bucket=bucket, Key="k", Body=BODY, ChecksumAlgorithm=algorithm)
    assert put[member] == CHECKSUMS[algorithm]
    assert put["ChecksumType"] == "FULL_OBJECT"
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got[member] == CHECKSUMS[algorithm]
    assert got["Body"].read() == BODY
    assert member not in s3.get_object(Bucket=bucket, Key="k", Range="bytes=0-9")
    partial = s3.get_object(Bucket=bucket, Key="k", Range="bytes=0-9", ChecksumMode="ENABLED")
    assert member not in partial


def test_a_wrong_checksum_stores_nothing(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"first")
    for wrong in (
        {"ChecksumCRC32": "AAAAAA=="},
        {"ChecksumCRC32C": "AAAAAA=="},
        {"ChecksumCRC64NVME": "AAAAAAAAAAA="},
        {"ChecksumSHA1": base64.b64encode(bytes(20)).decode()},
        {"ChecksumSHA256": base64.b64encode(bytes(32)).decode()},
        {"ContentMD5": base64.b64encode(bytes(16)).decode()},
    ):
        with pytest.raises(ClientError) as raised:
            s3.put_object(Bucket=bucket, Key="k", Body=BODY, **wrong)
        assert code(raised) == ("BadDigest", 400), wrong
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"first"


def test_a_right_md5_is_accepted_and_a_malformed_one_refused(s3, bucket):
    right = base64.b64encode(hashlib.md5(BODY).digest()).decode()
    s3.put_object(Bucket=bucket, Key="k", Body=BODY, ContentMD5=right)
    with pytest.raises(ClientError) as raised:
        s3.put_object(Bucket=bucket, Key="k", Body=BODY, ContentMD5="nonsense")
    assert code(raised) == ("InvalidDigest", 400)


def test_attributes(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=BODY, ChecksumAlgorithm="SHA256")
    asked = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
    answer = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=asked)
    assert answer["ETag"].strip('"') == hashlib.md5(BODY).hexdigest()
    assert answer["Checksum"]["ChecksumSHA256"] == CHECKSUMS["SHA256"]
    assert (answer["ObjectSize"], answer["StorageClass"]) == (len(BODY), "STANDARD")
    assert "ObjectParts" not in answer


def test_copy_keeps_or_replaces_what_is_said_of_the_object(s3, bucket):
    s3.put_object(
        Bucket=bucket, Key="from ü+.jpg", Body=BODY, ContentType="image/jpeg",
        Metadata={"breed": "beagle"}, Tagging="good=yes",
    )
    source = {"Bucket": bucket, "Key": "from ü+.jpg"}
    copied = s3.copy_object(Bucket=bucket, Key="kept", CopySource=source)["CopyObjectResult"]
    assert copied["ETag"] == f'"{hashlib.md5(BODY).hexdigest()}"'
    kept = s3.get_object(Bucket=bucket, Key="kept")
    assert kept["Body"].read() == BODY
    assert (kept["ContentType"], kept["Metadata"]) == ("image/jpeg", {"breed": "beagle"})
    assert kept["TagCount"] == 1
    s3.copy_object(
        Bucket=bucket, Key="replaced", CopySource=source, MetadataDirective="REPLACE",
        ContentType="text/plain", TaggingDirective="REPLACE", Tagging="a=1&b=2",
    )
    replaced = s3.head_object(Bucket=bucket, Key="replaced")
    assert (replaced["ContentType"], replaced["Metadata"]) == ("text/plain", {})
    tags = s3.get_object_tagging(Bucket=bucket, Key="replaced")["TagSet"]
    assert tags == [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]


def test_copy_onto_itself_needs_a_change(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=BODY)
    itself = {"Bucket": bucket, "Key": "k"}
    with pytest.raises(ClientError) as raised:
        s3.copy_object(Bucket=bucket, Key="k", CopySource=itself)
    assert code(raised) == ("InvalidRequest", 400)
    s3.copy_object(
        Bucket=bucket, Key="k", CopySource=itself, MetadataDirective="REPLACE",
        Metadata={"new": "yes"},
    )
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["Metadata"], got["Body"].read()) == ({"new": "yes"}, BODY)


def test_copy_conditions_and_absent_sources(s3, bucket):
    etag = s3.put_object(Bucket=bucket, Key="k", Body=BODY)["ETag"]
    source = {"Bucket": bucket, "Key": "k"}
    s3.copy_object(Bucket=bucket, Key="c", CopySource=source, CopySourceIfMatch=etag)
    with pytest.raises(ClientError) as raised:
        s3.copy_object(Bucket=bucket, Key="c", CopySource=source, CopySourceIfNoneMatch=etag)
    assert code(raised) == ("PreconditionFailed", 412)
    with pytest.raises(ClientError) as raised:
        s3.copy_object(Bucket=bucket, Key="c", CopySource={"Bucket": bucket, "Key": "none"})
    assert code(raised) == ("NoSuchKey", 404)


def test_delete_many(s3, bucket):
    keys = [f"k/{number}" for number in range(250)]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    named = [{"Key": key} for key in [*keys, "was-never-there"]]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": named})
    assert [each["Key"] for each in answer["Deleted"]] == [each["Key"] for each in named]
    assert "Errors" not in answer
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0
    s3.put_object(Bucket=bucket, Key="q", Body=b"x")
    quiet = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "q"}], "Quiet": True})
    assert "Deleted" not in quiet


def test_a_wrong_checksum_deletes_nothing(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    for wrong in ({"x-amz-checksum-crc32": "AAAAAA=="}, {"Content-MD5": "A" * 22 + "=="}):

        def announce(request, **_):
            for name, value in wrong.items():
                del request.headers[name]
                request.headers[name] = value

        s3.meta.events.register("before-sign.s3.DeleteObjects", announce)
        with pytest.raises(ClientError) as raised:
            s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}]})
        s3.meta.events.unregister("before-sign.s3.DeleteObjects", announce)
        assert code(raised) == ("BadDigest", 400), wrong
        s3.head_object(Bucket=bucket, Key="k")


def test_object_tags(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="breed=Great%20Pyrenees&good=yes")
    expected = [{"Key": "breed", "Value": "Great Pyrenees"}, {"Key": "good", "Value": "yes"}]
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == expected
    s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": expected[:1]})
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == expected[:1]
    s3.delete_object_tagging(Bucket=bucket, Key="k")
    assert s3.get_object_tagging(Bucket=bucket, Key="k")["TagSet"] == []
    eleven = [{"Key": f"k{number}", "Value": "v"} for number in range(11)]
    with pytest.raises(ClientError) as raised:
        s3.put_object_tagging(Bucket=bucket, Key="k", Tagging={"TagSet": eleven})
    assert code(raised) == ("BadRequest", 400)
    with pytest.raises(ClientError) as raised:
        s3.get_object_tagging(Bucket=bucket, Key="none")
    assert code(raised) == ("NoSuchKey", 404)
