"""STS: who is calling."""

import requests


def test_root_is_told_who_it_is(client):
    answer = client("sts").get_caller_identity()
    assert answer["Account"] == "123456789012"
    assert answer["UserId"] == "123456789012"
    assert answer["Arn"] == "arn:aws:iam::123456789012:root"
    assert len(answer["ResponseMetadata"]["RequestId"]) == 36


def test_the_cli_is_told_the_same(server):
    answer = server.aws_json("sts", "get-caller-identity")
    assert answer["Arn"] == "arn:aws:iam::123456789012:root"


def test_the_region_of_the_signature_does_not_matter(client):
    assert client("sts", region="eu-west-1").get_caller_identity()["Account"] == "123456789012"


def test_an_identity_can_be_presigned(client):
    url = client("sts").generate_presigned_url(
        "get_caller_identity", ExpiresIn=60, HttpMethod="GET"
    )
    answer = requests.get(url, timeout=30)
    assert answer.status_code == 200
    assert "arn:aws:iam::123456789012:root" in answer.text
    assert requests.get(url + "0", timeout=30).status_code == 403
