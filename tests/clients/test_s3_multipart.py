"""Multipart uploads through boto3."""

import base64
import hashlib
import io
import os
import zlib

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

MIB = 1024 * 1024
PART = 5 * MIB


def code(raised) -> tuple[str, int]:
    response = raised.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


@pytest.fixture
def s3(client):
    return client("s3")


def upload_part(s3, bucket, upload, number, body, **more):
    done = s3.upload_part(
        Bucket=bucket, Key="k", UploadId=upload, PartNumber=number, Body=body, **more
    )
    checksums = {name: value for name, value in done.items() if name.startswith("Checksum")}
    return {"PartNumber": number, "ETag": done["ETag"], **checksums}


def complete(s3, bucket, upload, parts, **more):
    return s3.complete_multipart_upload(
        Bucket=bucket, Key="k", UploadId=upload, MultipartUpload={"Parts": parts}, **more
    )


def test_an_upload_from_begin_to_end(s3, bucket):
    begun = s3.create_multipart_upload(
        Bucket=bucket, Key="k", ContentType="image/jpeg", Metadata={"breed": "beagle"},
        ServerSideEncryption="aws:kms", Tagging="a=1",
    )
    assert begun["ServerSideEncryption"] == "aws:kms"
    upload = begun["UploadId"]
    bodies = [os.urandom(PART), os.urandom(PART), b"the end"]
    parts = [upload_part(s3, bucket, upload, at + 1, body) for at, body in enumerate(bodies)]
    listed = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)
    assert [(part["PartNumber"], part["Size"]) for part in listed["Parts"]] == [
        (1, PART), (2, PART), (3, 7),
    ]
    with pytest.raises(ClientError):
        s3.head_object(Bucket=bucket, Key="k")
    done = complete(s3, bucket, upload, parts)
    digests = b"".join(hashlib.md5(body).digest() for body in bodies)
    assert done["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-3"'
    assert done["Location"].endswith(f"/{bucket}/k")
    got = s3.get_object(Bucket=bucket, Key="k")
    assert got["Body"].read() == b"".join(bodies)
    assert (got["ContentType"], got["Metadata"]) == ("image/jpeg", {"breed": "beagle"})
    assert (got["ServerSideEncryption"], got["TagCount"]) == ("aws:kms", 1)
    # A range across the parts' border, and a part by its number.
    border = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={PART - 2}-{PART + 1}")
    assert border["Body"].read() == bodies[0][-2:] + bodies[1][:2]
    third = s3.get_object(Bucket=bucket, Key="k", PartNumber=3)
    assert (third["Body"].read(), third["PartsCount"]) == (b"the end", 3)
    assert s3.head_object(Bucket=bucket, Key="k", PartNumber=2)["ContentLength"] == PART
    with pytest.raises(ClientError) as raised:
        s3.get_object(Bucket=bucket, Key="k", PartNumber=4)
    assert code(raised) == ("InvalidPartNumber", 416)
    # A client that did not hear the answer asks again.
    assert complete(s3, bucket, upload, parts)["ETag"] == done["ETag"]


def test_wrong_completions_are_refused_and_the_upload_goes_on(s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    small = upload_part(s3, bucket, upload, 1, b"small")
    large = upload_part(s3, bucket, upload, 2, bytes(PART))
    last = upload_part(s3, bucket, upload, 3, b"end")
    for parts, refusal in (
        ([small, last], "EntityTooSmall"),
        ([last, large], "InvalidPartOrder"),
        ([large, {**last, "PartNumber": 9}], "InvalidPart"),
        ([large, {**last, "ETag": '"0123456789abcdef0123456789abcdef"'}], "InvalidPart"),
        ([], "MalformedXML"),
    ):
        with pytest.raises(ClientError) as raised:
            complete(s3, bucket, upload, parts)
        assert code(raised) == (refusal, 400)
    complete(s3, bucket, upload, [large, last])
    assert s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == PART + 3
    with pytest.raises(ClientError) as raised:
        upload_part(s3, bucket, upload, 4, b"late")
    assert code(raised) == ("NoSuchUpload", 404)


def test_part_numbers_have_bounds(s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    for number in (0, 10001):
        with pytest.raises(ClientError) as raised:
            upload_part(s3, bucket, upload, number, b"x")
        assert code(raised) == ("InvalidArgument", 400)


def test_composite_checksums(s3, bucket):
    begun = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm="SHA256")
    assert (begun["ChecksumAlgorithm"], begun["ChecksumType"]) == ("SHA256", "COMPOSITE")
    upload = begun["UploadId"]
    bodies = [os.urandom(PART), b"end"]
    parts = [
        upload_part(s3, bucket, upload, at + 1, body, ChecksumAlgorithm="SHA256")
        for at, body in enumerate(bodies)
    ]
    bare = [{name: part[name] for name in ("PartNumber", "ETag")} for part in parts]
    with pytest.raises(ClientError) as raised:
        complete(s3, bucket, upload, bare)
    assert code(raised) == ("InvalidRequest", 400)
    done = complete(s3, bucket, upload, parts)
    joined = b"".join(hashlib.sha256(body).digest() for body in bodies)
    expected = base64.b64encode(hashlib.sha256(joined).digest()).decode() + "-2"
    assert (done["ChecksumSHA256"], done["ChecksumType"]) == (expected, "COMPOSITE")
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["ChecksumSHA256"] == expected
    assert got["Body"].read() == b"".join(bodies)
    asked = ["Checksum", "ObjectParts", "ObjectSize"]
    attributes = s3.get_object_attributes(Bucket=bucket, Key="k", ObjectAttributes=asked)
    assert attributes["ObjectParts"]["TotalPartsCount"] == 2
    sizes = [part["Size"] for part in attributes["ObjectParts"]["Parts"]]
    assert sizes == [PART, 3]


def test_full_object_checksums_follow_from_the_parts(s3, bucket):
    begun = s3.create_multipart_upload(
        Bucket=bucket, Key="k", ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT"
    )
    bodies = [os.urandom(PART), os.urandom(1000)]
    parts = [
        upload_part(s3, bucket, begun["UploadId"], at + 1, body, ChecksumAlgorithm="CRC32")
        for at, body in enumerate(bodies)
    ]
    whole = zlib.crc32(b"".join(bodies)).to_bytes(4, "big")
    whole = base64.b64encode(whole).decode()
    with pytest.raises(ClientError) as raised:
        complete(s3, bucket, begun["UploadId"], parts, ChecksumCRC32="AAAAAA==", ChecksumType="FULL_OBJECT")
    assert code(raised) == ("BadDigest", 400)
    done = complete(
        s3, bucket, begun["UploadId"], parts, ChecksumCRC32=whole, ChecksumType="FULL_OBJECT",
        MpuObjectSize=PART + 1000,
    )
    assert (done["ChecksumCRC32"], done["ChecksumType"]) == (whole, "FULL_OBJECT")
    with pytest.raises(ClientError) as raised:
        s3.create_multipart_upload(
            Bucket=bucket, Key="k", ChecksumAlgorithm="SHA256", ChecksumType="FULL_OBJECT"
        )
    assert code(raised) == ("InvalidRequest", 400)


def test_a_part_with_another_algorithm_is_refused(s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm="SHA256")
    with pytest.raises(ClientError) as raised:
        upload_part(s3, bucket, upload["UploadId"], 1, b"x", ChecksumAlgorithm="SHA1")
    assert code(raised) == ("InvalidRequest", 400)
    assert "sha256" in raised.value.response["Error"]["Message"]


def test_parts_from_another_object(s3, bucket):
    body = os.urandom(PART + 1000)
    s3.put_object(Bucket=bucket, Key="source", Body=body)
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    source = {"Bucket": bucket, "Key": "source"}
    parts = []
    for number, asked in ((1, None), (2, "bytes=10-99")):
        more = {"CopySourceRange": asked} if asked else {}
        copied = s3.upload_part_copy(
            Bucket=bucket, Key="k", UploadId=upload, PartNumber=number, CopySource=source, **more
        )["CopyPartResult"]
        parts.append({"PartNumber": number, **{name: value for name, value in copied.items() if name != "LastModified"}})
    with pytest.raises(ClientError) as raised:
        s3.upload_part_copy(
            Bucket=bucket, Key="k", UploadId=upload, PartNumber=3, CopySource=source,
            CopySourceRange=f"bytes=0-{len(body)}",
        )
    assert code(raised) == ("InvalidArgument", 400)
    complete(s3, bucket, upload, parts)
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == body + body[10:100]


def test_abort(s3, bucket):
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    upload_part(s3, bucket, upload, 1, b"x")
    s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload)
    for ask in (s3.abort_multipart_upload, s3.list_parts):
        with pytest.raises(ClientError) as raised:
            ask(Bucket=bucket, Key="k", UploadId=upload)
        assert code(raised) == ("NoSuchUpload", 404)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_uploads_and_parts_are_listed_in_pages(s3, bucket):
    keys = ["a b", "a b", "d/1", "d/2", "é"]
    uploads = [
        s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"] for key in keys
    ]
    pages = s3.get_paginator("list_multipart_uploads").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": 2}
    )
    found = [upload for page in pages for upload in page.get("Uploads", [])]
    assert [each["Key"] for each in found] == keys
    assert [each["UploadId"] for each in found] == uploads
    folded = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert [each["Prefix"] for each in folded["CommonPrefixes"]] == ["d/"]
    for number in (1, 2, 5):
        s3.upload_part(
            Bucket=bucket, Key="é", UploadId=uploads[-1], PartNumber=number, Body=b"x"
        )
    pages = s3.get_paginator("list_parts").paginate(
        Bucket=bucket, Key="é", UploadId=uploads[-1], PaginationConfig={"PageSize": 1}
    )
    numbers = [part["PartNumber"] for page in pages for part in page.get("Parts", [])]
    assert numbers == [1, 2, 5]
    # Uploads that were never completed do not keep a bucket.
    s3.delete_bucket(Bucket=bucket)


def test_the_transfer_manager_both_ways(s3, bucket):
    body = os.urandom(21 * MIB)
    settings = TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=8 * MIB)
    s3.upload_fileobj(io.BytesIO(body), bucket, "k", Config=settings)
    assert s3.head_object(Bucket=bucket, Key="k")["ETag"].endswith('-3"')
    back = io.BytesIO()
    s3.download_fileobj(bucket, "k", back, Config=settings)
    assert back.getvalue() == body
    s3.copy({"Bucket": bucket, "Key": "k"}, bucket, "copy", Config=settings)
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == body
