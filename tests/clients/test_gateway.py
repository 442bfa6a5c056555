"""The gateway as clients meet it: who is let in, and how refusals read."""

import datetime
import http.client
import time
from urllib.parse import urlsplit

import botocore.auth
import pytest
import requests
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

WRONG_SIGNATURE = "The request signature we calculated does not match the signature you provided"
INVALID_TOKEN = "The security token included in the request is invalid."
TARGET = "Logs_20140328.DescribeLogGroups"


def refused(call, **arguments) -> tuple[str, str, int]:
    """Code, message and status of the refusal that botocore reads."""
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    answer = raised.value.response
    assert answer["ResponseMetadata"]["RequestId"]
    return (
        answer["Error"]["Code"],
        answer["Error"]["Message"],
        answer["ResponseMetadata"]["HTTPStatusCode"],
    )


def signed(server, service, method="POST", path="/", body=b"", headers=None, at=None, region="us-east-1"):
    """A request signed at `at`, sent as it is."""
    request = AWSRequest(method, server.endpoint + path, data=body, headers=headers or {})
    credentials = Credentials(server.access_key_id, server.secret_access_key)
    signer = botocore.auth.SigV4Auth(credentials, service, region)
    if at:
        signer.add_auth = lambda request: sign_at(signer, request, at)
    signer.add_auth(request)
    return requests.request(
        method, server.endpoint + path, data=body, headers=dict(request.headers), timeout=30
    )


def sign_at(signer, request, at):
    request.context["timestamp"] = at.strftime("%Y%m%dT%H%M%SZ")
    signer._modify_request_before_signing(request)
    request.headers.replace_header("X-Amz-Date", request.context["timestamp"])
    canonical = signer.canonical_request(request)
    signer._inject_signature_to_request(
        request, signer.signature(signer.string_to_sign(request, canonical), request)
    )


def json_headers(target=TARGET, version="1.1"):
    return {"X-Amz-Target": target, "Content-Type": f"application/x-amz-json-{version}"}


def test_health_needs_no_signature(server):
    answer = requests.get(server.endpoint + "/_kennel/health", timeout=30)
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"
    assert answer.headers["x-amzn-RequestId"]


def test_a_wrong_secret_is_refused_in_every_protocol(client):
    wrong = {"aws_secret_access_key": "obviously/not/the/secret/of/this/key"}
    code, message, status = refused(client("logs", **wrong).describe_log_groups)
    assert (code, status) == ("InvalidSignatureException", 400)
    assert message.startswith(WRONG_SIGNATURE)
    code, message, status = refused(client("sts", **wrong).get_caller_identity)
    assert (code, status) == ("SignatureDoesNotMatch", 403)
    assert message.startswith(WRONG_SIGNATURE)
    code, _, status = refused(
        client("sagemaker-runtime", **wrong).invoke_endpoint, EndpointName="absent", Body=b"x"
    )
    assert (code, status) == ("InvalidSignatureException", 403)
    code, _, status = refused(client("s3", **wrong).list_buckets)
    assert (code, status) == ("SignatureDoesNotMatch", 403)


def test_an_unknown_key_is_refused_in_every_protocol(client):
    unknown = {"aws_access_key_id": "AKIANOBODYNOBODY1234"}
    code, message, _ = refused(client("sagemaker", **unknown).list_models)
    assert (code, message) == ("UnrecognizedClientException", INVALID_TOKEN)
    code, message, _ = refused(client("sts", **unknown).get_caller_identity)
    assert (code, message) == ("InvalidClientTokenId", INVALID_TOKEN)
    code, _, status = refused(client("s3", **unknown).list_buckets)
    assert (code, status) == ("InvalidAccessKeyId", 403)


def test_a_token_that_belongs_to_no_session_is_refused(client):
    code, message, _ = refused(client("logs", aws_session_token="no-such-token").describe_log_groups)
    assert (code, message) == ("UnrecognizedClientException", INVALID_TOKEN)


def test_a_clock_that_is_off_is_told_so(server):
    now = datetime.datetime.now(datetime.timezone.utc)
    for minutes, phrase in ((-20, "Signature expired: "), (20, "Signature not yet current: ")):
        at = now + datetime.timedelta(minutes=minutes)
        answer = signed(server, "logs", body=b"{}", headers=json_headers(), at=at)
        assert answer.status_code == 400
        assert answer.json()["__type"] == "InvalidSignatureException"
        assert answer.json()["message"].startswith(phrase)
    at = now - datetime.timedelta(minutes=14)
    assert signed(server, "logs", body=b"{}", headers=json_headers(), at=at).status_code == 200


def test_an_expired_presigned_request_is_refused(client):
    url = client("sts").generate_presigned_url(
        "get_caller_identity", ExpiresIn=1, HttpMethod="GET"
    )
    assert requests.get(url, timeout=30).status_code == 200
    deadline = time.monotonic() + 20
    while requests.get(url, timeout=30).status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    answer = requests.get(url, timeout=30)
    assert answer.status_code == 403
    assert "Signature expired" in answer.text


def test_no_signature_is_no_entry(server):
    answer = requests.post(server.endpoint, data="{}", headers=json_headers(), timeout=30)
    assert answer.status_code == 400
    assert answer.json()["__type"] == "MissingAuthenticationTokenException"
    form = {"Action": "GetCallerIdentity", "Version": "2011-06-15"}
    answer = requests.post(server.endpoint, data=form, timeout=30)
    assert answer.status_code == 403
    assert "<Code>MissingAuthenticationToken</Code>" in answer.text


def test_a_signature_for_another_region_is_refused(client):
    code, message, _ = refused(client("logs", region="eu-west-1").describe_log_groups)
    assert code == "InvalidSignatureException"
    assert "valid region, not 'eu-west-1'" in message


def test_unknown_operations_are_client_errors_that_name_them(client, server):
    code, message, status = refused(client("logs").describe_metric_filters)
    assert (code, status) == ("UnknownOperationException", 400)
    assert "DescribeMetricFilters" in message
    code, message, status = refused(
        client("sts").decode_authorization_message, EncodedMessage="x"
    )
    assert (code, status) == ("InvalidAction", 400)
    assert "DecodeAuthorizationMessage" in message
    code, message, status = refused(client("iam").get_role, RoleName="x")
    assert (code, status) == ("InvalidAction", 400)
    assert "iam: GetRole" in message
    code, message, status = refused(client("lambda").list_functions)
    assert (code, status) == ("UnknownOperationException", 404)
    code, message, status = refused(client("dynamodb").list_tables)
    assert (code, status) == ("UnknownOperationException", 400)
    assert "DynamoDB_20120810.ListTables" in message
    answer = signed(
        server,
        "monitoring",
        path="/service/GraniteServiceVersion20100801/operation/ListMetrics",
        headers={"smithy-protocol": "rpc-v2-cbor", "Content-Type": "application/cbor"},
    )
    assert answer.status_code == 400
    assert answer.headers["smithy-protocol"] == "rpc-v2-cbor"


def test_malformed_and_mistyped_inputs_are_named(server):
    answer = signed(server, "logs", body=b'{"limit":', headers=json_headers())
    assert (answer.status_code, answer.json()["__type"]) == (400, "SerializationException")
    answer = signed(server, "logs", body=b'{"limit":"x"}', headers=json_headers())
    assert answer.json()["__type"] == "SerializationException"
    assert answer.json()["message"].startswith("limit: ")
    answer = signed(server, "logs", body=b'{"colour":1}', headers=json_headers())
    assert answer.json()["__type"] == "ValidationException"
    assert "'colour'" in answer.json()["message"]


def test_a_body_beyond_the_limit_is_refused(server):
    answer = signed(server, "logs", body=b" " * (7 << 20), headers=json_headers())
    assert answer.status_code == 413


def test_an_expectation_is_answered_at_once(server):
    """botocore waits a second for it with every object that it puts."""
    parts = urlsplit(server.endpoint)
    request = AWSRequest(
        "POST", server.endpoint + "/", data=b"{}", headers=json_headers()
    )
    credentials = Credentials(server.access_key_id, server.secret_access_key)
    botocore.auth.SigV4Auth(credentials, "logs", "us-east-1").add_auth(request)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
    connection.putrequest("POST", "/")
    for name, value in request.headers.items():
        connection.putheader(name, value)
    connection.putheader("Content-Length", "2")
    connection.putheader("Expect", "100-continue")
    connection.endheaders()
    assert connection.sock.recv(12) == b"HTTP/1.1 100"
    connection.close()
