"""The AWS CLI's s3 commands."""

import filecmp
import os

import requests


def same_files(left, right) -> bool:
    compared = filecmp.dircmp(left, right)
    differs = compared.left_only or compared.right_only or compared.diff_files
    return not differs and all(
        same_files(left / name, right / name) for name in compared.common_dirs
    )


def keys(server, bucket, prefix=""):
    pages = server.client("s3").get_paginator("list_objects_v2").paginate(
        Bucket=bucket, Prefix=prefix
    )
    return [each["Key"] for page in pages for each in page.get("Contents", [])]


def test_pictures_go_up_and_come_down_whole(server, bucket, pictures, tmp_path):
    count = sum(1 for path in pictures.rglob("*") if path.is_file())
    server.aws("s3", "cp", "--recursive", pictures, f"s3://{bucket}/dogs/")
    assert len(keys(server, bucket, "dogs/")) == count
    server.aws("s3", "cp", "--recursive", f"s3://{bucket}/dogs/", tmp_path / "back")
    assert same_files(pictures, tmp_path / "back")


def test_sync_sends_what_changed(server, bucket, tmp_path):
    here = tmp_path / "here"
    here.mkdir()
    for name in ("a", "b", "c d"):
        (here / name).write_text(name)
    first = server.aws("s3", "sync", here, f"s3://{bucket}/s").stdout
    assert first.count("upload:") == 3
    assert server.aws("s3", "sync", here, f"s3://{bucket}/s").stdout.count("upload:") == 0
    (here / "b").write_text("changed")
    (here / "a").unlink()
    again = server.aws("s3", "sync", "--delete", here, f"s3://{bucket}/s").stdout
    assert (again.count("upload:"), again.count("delete:")) == (1, 1)
    server.aws("s3", "sync", f"s3://{bucket}/s", tmp_path / "there")
    assert same_files(here, tmp_path / "there")
    copied = server.aws("s3", "sync", f"s3://{bucket}/s", f"s3://{bucket}/t").stdout
    assert copied.count("copy:") == 2


def test_a_large_file_goes_in_parts(server, bucket, tmp_path):
    body = os.urandom(20 * 1024 * 1024 + 1)
    (tmp_path / "large").write_bytes(body)
    server.aws("s3", "cp", tmp_path / "large", f"s3://{bucket}/large")
    head = server.client("s3").head_object(Bucket=bucket, Key="large")
    assert head["ETag"].endswith('-3"')
    server.aws("s3", "cp", f"s3://{bucket}/large", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == body
    server.aws("s3", "cp", f"s3://{bucket}/large", f"s3://{bucket}/copied")
    server.aws("s3", "mv", f"s3://{bucket}/copied", tmp_path / "moved")
    assert (tmp_path / "moved").read_bytes() == body
    assert keys(server, bucket) == ["large"]


def test_ls_mv_rm(server, bucket, tmp_path):
    (tmp_path / "x").write_text("x")
    for key in ("p/1", "p/2", "q"):
        server.aws("s3", "cp", tmp_path / "x", f"s3://{bucket}/{key}")
    assert bucket in server.aws("s3", "ls").stdout
    listing = server.aws("s3", "ls", f"s3://{bucket}/").stdout
    assert "PRE p/" in listing and listing.rstrip().endswith("q")
    server.aws("s3", "mv", f"s3://{bucket}/p/1", f"s3://{bucket}/r/1")
    assert keys(server, bucket) == ["p/2", "q", "r/1"]
    server.aws("s3", "mv", "--recursive", f"s3://{bucket}/r/", f"s3://{bucket}/p/")
    server.aws("s3", "rm", f"s3://{bucket}/q")
    assert keys(server, bucket) == ["p/1", "p/2"]
    server.aws("s3", "rm", "--recursive", f"s3://{bucket}/p/")
    assert keys(server, bucket) == []
    server.aws("s3", "rb", f"s3://{bucket}")


def test_mb_and_rb_force(server, name, tmp_path):
    (tmp_path / "x").write_text("x")
    server.aws("s3", "mb", f"s3://{name}")
    server.aws("s3", "cp", tmp_path / "x", f"s3://{name}/deep/x")
    refused = server.aws("s3", "rb", f"s3://{name}", check=False)
    assert refused.returncode != 0 and "BucketNotEmpty" in refused.stderr
    server.aws("s3", "rb", "--force", f"s3://{name}")
    assert name not in server.aws("s3", "ls").stdout


def test_presign(server, bucket, tmp_path):
    (tmp_path / "x").write_text("woof")
    server.aws("s3", "cp", tmp_path / "x", f"s3://{bucket}/a b")
    url = server.aws("s3", "presign", f"s3://{bucket}/a b").stdout.strip()
    assert requests.get(url, timeout=30).text == "woof"


def test_streams_in_and_out(server, bucket, tmp_path):
    (tmp_path / "x").write_text("woof")
    server.aws("s3", "cp", tmp_path / "x", f"s3://{bucket}/x", "--sse", "aws:kms")
    assert server.aws("s3", "cp", f"s3://{bucket}/x", "-").stdout == "woof"


def test_s3api(server, bucket, tmp_path):
    (tmp_path / "x").write_text("woof")
    put = server.aws_json(
        "s3api", "put-object", "--bucket", bucket, "--key", "x", "--body", tmp_path / "x",
        "--checksum-algorithm", "SHA256", "--metadata", "breed=beagle",
    )
    assert put["ChecksumType"] == "FULL_OBJECT"
    head = server.aws_json("s3api", "head-object", "--bucket", bucket, "--key", "x")
    assert head["Metadata"] == {"breed": "beagle"}
    absent = server.aws("s3api", "head-object", "--bucket", bucket, "--key", "y", check=False)
    assert "Not Found" in absent.stderr
    location = server.aws_json("s3api", "get-bucket-location", "--bucket", bucket)
    assert location["LocationConstraint"] is None
    begun = server.aws_json("s3api", "create-multipart-upload", "--bucket", bucket, "--key", "m")
    uploads = server.aws_json("s3api", "list-multipart-uploads", "--bucket", bucket)
    assert [each["UploadId"] for each in uploads["Uploads"]] == [begun["UploadId"]]
    server.aws(
        "s3api", "abort-multipart-upload", "--bucket", bucket, "--key", "m",
        "--upload-id", begun["UploadId"],
    )
