"""Who may ask: signatures, presigned URLs, skewed clocks, bodies that are not what was signed."""

import base64
import datetime
import hashlib
import socket
import urllib.parse
import zlib

import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import pytest
import requests
from botocore.exceptions import ClientError

SIGV4 = botocore.config.Config(signature_version="s3v4")
EMPTY = hashlib.sha256(b"").hexdigest()


def code(answer: requests.Response) -> str:
    start = answer.text.index("<Code>") + len("<Code>")
    return answer.text[start : answer.text.index("</Code>")]


@pytest.fixture
def stored(client, bucket):
    client("s3").put_object(Bucket=bucket, Key="a b.txt", Body=b"woof")
    return bucket


def signed(server, method, path, headers=None, body=b"", secret=None, at=None):
    """A request signed by botocore, to be tampered with."""
    credentials = botocore.credentials.Credentials(
        server.access_key_id, secret or server.secret_access_key
    )
    request = botocore.awsrequest.AWSRequest(
        method, server.endpoint + path, data=body, headers=headers or {}
    )
    signer = botocore.auth.S3SigV4Auth(credentials, "s3", "us-east-1")
    if at is None:
        signer.add_auth(request)
    else:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(botocore.auth, "get_current_datetime", lambda: at)
            signer.add_auth(request)
    return request.prepare()


def send(prepared, **changes):
    return requests.request(
        prepared.method, prepared.url, headers=dict(prepared.headers),
        data=changes.get("body", prepared.body), timeout=30,
    )


@pytest.mark.parametrize("config", [None, SIGV4], ids=["sigv2", "sigv4"])
def test_presigned_urls_work_both_ways(server, stored, config):
    s3 = server.client("s3", config=config or botocore.config.Config(signature_version="s3"))
    get = s3.generate_presigned_url("get_object", {"Bucket": stored, "Key": "a b.txt"})
    assert requests.get(get, timeout=30).content == b"woof"
    part = requests.get(get, headers={"Range": "bytes=1-2"}, timeout=30)
    assert (part.status_code, part.content) == (206, b"oo")
    put = s3.generate_presigned_url("put_object", {"Bucket": stored, "Key": "new/é"})
    assert requests.put(put, data=b"bark", timeout=30).status_code == 200
    plain = server.client("s3")
    assert plain.get_object(Bucket=stored, Key="new/é")["Body"].read() == b"bark"
    head = s3.generate_presigned_url("head_object", {"Bucket": stored, "Key": "new/é"})
    assert requests.head(head, timeout=30).headers["Content-Length"] == "4"
    gone = s3.generate_presigned_url("delete_object", {"Bucket": stored, "Key": "new/é"})
    assert requests.delete(gone, timeout=30).status_code == 204


def test_the_default_presigned_url_works(server, stored):
    url = server.client("s3", config=None).generate_presigned_url(
        "get_object", {"Bucket": stored, "Key": "a b.txt", "ResponseContentType": "text/plain"}
    )
    answer = requests.get(url, timeout=30)
    assert (answer.content, answer.headers["Content-Type"]) == (b"woof", "text/plain")


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_presigned_urls_expire(server, stored, version):
    s3 = server.client("s3", config=botocore.config.Config(signature_version=version))
    url = s3.generate_presigned_url(
        "get_object", {"Bucket": stored, "Key": "a b.txt"}, ExpiresIn=-10
    )
    if version == "s3v4":
        # botocore refuses to sign the past; an old date does the same.
        old = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(hours=2)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(botocore.auth, "get_current_datetime", lambda: old.replace(tzinfo=None))
            url = s3.generate_presigned_url(
                "get_object", {"Bucket": stored, "Key": "a b.txt"}, ExpiresIn=60
            )
    answer = requests.get(url, timeout=30)
    assert (answer.status_code, code(answer)) == (403, "AccessDenied")
    assert "expired" in answer.text


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_a_presigned_url_is_good_for_what_it_was_made_for_alone(server, stored, version):
    s3 = server.client("s3", config=botocore.config.Config(signature_version=version))
    get = s3.generate_presigned_url("get_object", {"Bucket": stored, "Key": "a b.txt"})
    assert requests.put(get, data=b"x", timeout=30).status_code == 403
    other = get.replace("a%20b.txt", "other.txt")
    assert requests.get(other, timeout=30).status_code == 403
    put = s3.generate_presigned_url("put_object", {"Bucket": stored, "Key": "copy"})
    stolen = requests.put(put, headers={"x-amz-copy-source": f"{stored}/a b.txt"}, timeout=30)
    assert stolen.status_code == 403
    with pytest.raises(ClientError) as raised:
        server.client("s3").head_object(Bucket=stored, Key="copy")
    assert raised.value.response["Error"]["Code"] == "404"


def test_nobody_in_particular_is_refused(server, stored):
    for method, path in (("GET", f"/{stored}/a b.txt"), ("GET", f"/{stored}?list-type=2")):
        answer = requests.request(method, server.endpoint + path, timeout=30)
        assert (answer.status_code, code(answer)) == (403, "AccessDenied")
    assert requests.put(f"{server.endpoint}/{stored}/k", data=b"x", timeout=30).status_code == 403


def test_unknown_keys_and_wrong_secrets(server, stored):
    for key, secret, expected in (
        ("AKIANOSUCHKEYHERE000", "x" * 40, "InvalidAccessKeyId"),
        (server.access_key_id, "x" * 40, "SignatureDoesNotMatch"),
    ):
        s3 = server.client("s3", aws_access_key_id=key, aws_secret_access_key=secret)
        with pytest.raises(ClientError) as raised:
            s3.get_object(Bucket=stored, Key="a b.txt")
        assert raised.value.response["Error"]["Code"] == expected
        assert raised.value.response["Error"]["Message"] not in ("", "Unknown")
        assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
        with pytest.raises(ClientError) as raised:
            s3.put_object(Bucket=stored, Key="a b.txt", Body=b"changed")
        assert raised.value.response["Error"]["Code"] == expected
    assert server.client("s3").get_object(Bucket=stored, Key="a b.txt")["Body"].read() == b"woof"


def test_the_root_key_has_no_session_token(server, stored):
    s3 = server.client("s3", aws_session_token="made up")
    with pytest.raises(ClientError) as raised:
        s3.get_object(Bucket=stored, Key="a b.txt")
    assert raised.value.response["Error"]["Code"] == "InvalidToken"


def test_a_signature_of_another_time_is_refused(server, stored):
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    for minutes, status in ((-20, 403), (-10, 200), (20, 403)):
        at = now + datetime.timedelta(minutes=minutes)
        answer = send(signed(server, "GET", f"/{stored}/a%20b.txt", at=at))
        assert answer.status_code == status
        if status == 403:
            assert code(answer) == "RequestTimeTooSkewed"


def test_sigv2_in_a_header_is_refused(server, stored):
    answer = requests.get(
        f"{server.endpoint}/{stored}/a b.txt",
        headers={"Authorization": "AWS AKIATESTTESTTESTTEST:c2lnbmF0dXJl", "Date": "now"},
        timeout=30,
    )
    assert (answer.status_code, code(answer)) == (400, "InvalidRequest")


def test_a_body_other_than_the_signed_one_is_not_stored(server, stored):
    s3 = server.client("s3")
    put = signed(server, "PUT", f"/{stored}/a%20b.txt", body=b"bark")
    answer = send(put, body=b"meow")
    assert (answer.status_code, code(answer)) == (400, "XAmzContentSHA256Mismatch")
    assert s3.get_object(Bucket=stored, Key="a b.txt")["Body"].read() == b"woof"
    delete = b"<Delete><Object><Key>nothing</Key></Object></Delete>"
    other = b"<Delete><Object><Key>a b.txt</Key></Object></Delete>"
    answer = send(signed(server, "POST", f"/{stored}?delete=", body=delete), body=other)
    assert (answer.status_code, code(answer)) == (400, "XAmzContentSHA256Mismatch")
    s3.head_object(Bucket=stored, Key="a b.txt")
    empty = signed(server, "PUT", f"/{stored}/a%20b.txt", body=b"bark")
    del empty.headers["Content-Length"]
    answer = send(empty, body=b"")
    assert (answer.status_code, code(answer)) == (400, "XAmzContentSHA256Mismatch")


def test_headers_added_after_signing_are_refused(server, stored):
    prepared = signed(server, "PUT", f"/{stored}/copy")
    prepared.headers["x-amz-copy-source"] = f"{stored}/a%20b.txt"
    answer = send(prepared)
    assert (answer.status_code, code(answer)) == (403, "AccessDenied")
    assert "x-amz-copy-source" in answer.text


def chunked(body: bytes, trailer: bytes) -> bytes:
    return b"%x\r\n%s\r\n0\r\n%s\r\n\r\n" % (len(body), body, trailer)


def streamed(server, path, body, crc):
    """What clients send over TLS: an unsigned chunked body with its checksum behind it."""
    headers = {
        "Content-Encoding": "aws-chunked",
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "X-Amz-Trailer": "x-amz-checksum-crc32",
        "X-Amz-Decoded-Content-Length": str(len(body)),
        "x-amz-sdk-checksum-algorithm": "CRC32",
    }
    request = botocore.awsrequest.AWSRequest("PUT", server.endpoint + path, headers=headers)
    credentials = botocore.credentials.Credentials(server.access_key_id, server.secret_access_key)

    class Streaming(botocore.auth.S3SigV4Auth):
        def payload(self, request):
            return "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

    Streaming(credentials, "s3", "us-east-1").add_auth(request)
    prepared = request.prepare()
    wire = chunked(body, b"x-amz-checksum-crc32:" + crc)
    return requests.put(prepared.url, headers=dict(prepared.headers), data=wire, timeout=30)


def test_chunked_bodies_with_trailers(server, bucket):
    s3 = server.client("s3")
    body = b"woof" * 10_000
    crc = base64.b64encode(zlib.crc32(body).to_bytes(4, "big"))
    answer = streamed(server, f"/{bucket}/k", body, crc)
    assert answer.status_code == 200, answer.text
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got["Body"].read() == body
    assert got["ChecksumCRC32"] == crc.decode()
    assert "ContentEncoding" not in got
    wrong = streamed(server, f"/{bucket}/k2", body, b"AAAAAA==")
    assert (wrong.status_code, code(wrong)) == (400, "BadDigest")
    with pytest.raises(ClientError):
        s3.head_object(Bucket=bucket, Key="k2")


def test_errors_name_the_resource_and_the_request(server, stored):
    answer = send(signed(server, "GET", f"/{stored}/none"))
    assert answer.status_code == 404
    assert f"<Resource>/{stored}/none</Resource>" in answer.text
    request_id = answer.headers["x-amz-request-id"]
    assert f"<RequestId>{request_id}</RequestId>" in answer.text


def test_virtual_hosts_name_buckets(server, stored):
    port = urllib.parse.urlsplit(server.endpoint).port
    host = f"{stored}.localhost:{port}"
    request = botocore.awsrequest.AWSRequest("GET", f"http://{host}/a%20b.txt")
    credentials = botocore.credentials.Credentials(server.access_key_id, server.secret_access_key)
    botocore.auth.S3SigV4Auth(credentials, "s3", "us-east-1").add_auth(request)
    headers = {**dict(request.prepare().headers), "Host": host}
    answer = requests.get(f"{server.endpoint}/a%20b.txt", headers=headers, timeout=30)
    assert (answer.status_code, answer.content) == (200, b"woof")


def continued(server, prepared) -> tuple[bytes, bytes]:
    """Sends a request's head with `Expect: 100-continue`; what is answered before any body, and
    after it where it was asked for."""
    url = urllib.parse.urlsplit(prepared.url)
    lines = [f"{prepared.method} {url.path} HTTP/1.1", f"Host: {url.netloc}"]
    lines += [f"{name}: {value}" for name, value in prepared.headers.items() if name != "Host"]
    head = "\r\n".join([*lines, "Expect: 100-continue", "", ""]).encode()
    with socket.create_connection((url.hostname, url.port), timeout=10) as connection:
        connection.sendall(head)
        first = connection.recv(65536)
        if not first.startswith(b"HTTP/1.1 100"):
            return first, b""
        connection.sendall(prepared.body)
        return first, connection.recv(65536)


def test_a_client_that_waits_is_told_to_go_on_or_refused_at_once(server, stored):
    put = signed(server, "PUT", f"/{stored}/waited", body=b"bark")
    go_on, answer = continued(server, put)
    assert go_on.startswith(b"HTTP/1.1 100 Continue")
    assert answer.startswith(b"HTTP/1.1 200")
    for refused, status in (
        (signed(server, "PUT", f"/{stored}/waited", body=b"x", secret="x" * 40), b"403"),
        (signed(server, "PUT", f"/{stored}-none/waited", body=b"x"), b"404"),
    ):
        answer, _ = continued(server, refused)
        assert answer.startswith(b"HTTP/1.1 " + status)
        assert b"connection: close" in answer.lower()
    assert server.client("s3").get_object(Bucket=stored, Key="waited")["Body"].read() == b"bark"


def test_forms_are_refused_by_name(server, bucket):
    answer = requests.post(
        f"{server.endpoint}/{bucket}", files={"file": b"x"}, data={"key": "k"}, timeout=30
    )
    assert (answer.status_code, code(answer)) == (501, "NotImplemented")
    assert "PostObject" in answer.text
