"""S3 at its limits: memory under large objects, a full disk, a killed server."""

import hashlib
import os
import subprocess
import sys
import threading

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError
from conftest import Server, skip, wait_until

MIB = 1024 * 1024
LARGE = 300 * MIB
RESIDENT_MAX = 100 * MIB


def peak_resident_bytes(server) -> int:
    with open(f"/proc/{server.process.pid}/status") as status:
        line = next(line for line in status if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


@pytest.fixture
def large_file(tmp_path):
    """Bytes that differ from chunk to chunk, so that a mix-up would show."""
    path = tmp_path / "large"
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        for number in range(LARGE // MIB):
            chunk = number.to_bytes(8, "big") * (MIB // 8)
            digest.update(chunk)
            file.write(chunk)
    yield path, digest.hexdigest()
    path.unlink()


def digest_of(body) -> str:
    digest = hashlib.sha256()
    for chunk in body.iter_chunks(MIB):
        digest.update(chunk)
    return digest.hexdigest()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_large_objects_do_not_sit_in_memory(fresh_server, large_file, name):
    path, expected = large_file
    server = fresh_server()
    s3 = server.client("s3")
    s3.create_bucket(Bucket=name)
    with open(path, "rb") as body:
        s3.put_object(Bucket=name, Key="one-piece", Body=body)
    s3.upload_file(str(path), name, "parts", Config=TransferConfig(max_concurrency=10))
    s3.copy_object(Bucket=name, Key="copy", CopySource={"Bucket": name, "Key": "parts"})
    for key in ("one-piece", "parts", "copy"):
        got = s3.get_object(Bucket=name, Key=key)
        assert got["ContentLength"] == LARGE
        assert digest_of(got["Body"]) == expected
    assert peak_resident_bytes(server) < RESIDENT_MAX


@pytest.fixture
def small_disk(binary, tmp_path):
    """A server whose data directory is a file system of 48 MB of its own."""
    place = tmp_path / "small"
    place.mkdir()
    namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "-Ur", "--mount"]
    mount = f"mount -t tmpfs -o size=48m tmpfs {place}"
    tried = subprocess.run([*namespace, "sh", "-c", mount], capture_output=True, text=True)
    if tried.returncode != 0:
        skip(f"no file system of its own can be mounted here: {tried.stderr.strip()}")
    wrapper = tmp_path / "kennel-on-a-small-disk"
    wrapper.write_text(
        f"#!/bin/sh\nexec {' '.join(namespace)} sh -c '{mount} && exec \"$@\"' sh {binary} \"$@\"\n"
    )
    wrapper.chmod(0o755)
    server = Server(wrapper, place / "data")
    server.start()
    yield server
    server.stop()


def test_a_full_disk_fails_the_write_and_keeps_what_was_there(small_disk, name):
    s3 = small_disk.client("s3")
    s3.create_bucket(Bucket=name)
    stored = {}
    refusal = None
    for number in range(100):
        body = os.urandom(MIB)
        try:
            s3.put_object(Bucket=name, Key=f"k{number}", Body=body)
        except ClientError as error:
            refusal = error.response
            break
        stored[f"k{number}"] = body
    assert refusal is not None, "100 MB went onto a disk of 48 MB"
    assert refusal["Error"]["Code"] == "InsufficientStorage"
    assert refusal["ResponseMetadata"]["HTTPStatusCode"] == 507
    assert "disk is full" in refusal["Error"]["Message"]
    listed = s3.list_objects_v2(Bucket=name)["Contents"]
    assert {each["Key"] for each in listed} == set(stored)
    for key, body in stored.items():
        assert s3.get_object(Bucket=name, Key=key)["Body"].read() == body
    # An overwrite that fails leaves the old body; room that is made is room again.
    with pytest.raises(ClientError):
        s3.put_object(Bucket=name, Key="k0", Body=os.urandom(8 * MIB))
    assert s3.get_object(Bucket=name, Key="k0")["Body"].read() == stored["k0"]
    for number in range(1, 5):
        s3.delete_object(Bucket=name, Key=f"k{number}")
    s3.put_object(Bucket=name, Key="again", Body=stored["k0"])
    assert s3.get_object(Bucket=name, Key="again")["Body"].read() == stored["k0"]


def blobs(server) -> int:
    return sum(1 for path in (server.data_dir / "blobs").rglob("*") if path.is_file())


def test_a_killed_server_loses_nothing_it_acknowledged(fresh_server, name):
    server = fresh_server()
    s3 = server.client("s3")
    s3.create_bucket(Bucket=name)
    acknowledged = {}
    begun = threading.Semaphore(0)

    def write(writer: int) -> None:
        mine = server.client("s3")
        for number in range(1000):
            body = f"{writer} {number}".encode() * 500
            # Every third key is one that is overwritten again and again.
            key = f"{writer}/{number if number % 3 else 'same'}"
            try:
                mine.put_object(Bucket=name, Key=key, Body=body)
            except (ClientError, BotoCoreError):
                acknowledged.setdefault((key, "maybe"), []).append(body)
                return
            acknowledged[key] = body
            begun.release()

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(4)]
    for writer in writers:
        writer.start()
    for _ in range(200):
        assert begun.acquire(timeout=60)
    server.kill9()
    for writer in writers:
        writer.join()
    maybe = {key[0]: bodies for key, bodies in acknowledged.items() if isinstance(key, tuple)}
    certain = {key: body for key, body in acknowledged.items() if isinstance(key, str)}
    server.start()
    s3 = server.client("s3")
    for key, body in certain.items():
        found = s3.get_object(Bucket=name, Key=key)["Body"].read()
        assert found == body or found in maybe.get(key, []), key
    objects = sum(
        page["KeyCount"]
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=name)
    )
    assert objects >= len(certain)
    # What was on its way and never acknowledged is swept away.
    wait_until(lambda: blobs(server) == objects)
