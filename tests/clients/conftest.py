"""Fixtures of the client tests: the built binary as a server, and real clients against it.

`KENNEL_BIN` names the binary (cargo sets it when it runs these tests). Every server has a data
directory and a port of its own.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import boto3
import botocore.config
import pytest
import shapes

REPOSITORY = Path(__file__).resolve().parents[2]
PHOTOS = REPOSITORY.parent / "shared" / "data" / "dogs25"
ROLE_ARN = "arn:aws:iam::123456789012:role/service-role/kennel-test-execution"
IMAGE = "kennel/image-classification:1"
INSTANCE_TYPE = "ml.m5.large"
READY_SECS = 30
REQUIRE_ALL = os.environ.get("KENNEL_REQUIRE_ALL") == "1"


def skip(reason: str) -> None:
    """Skips a test for something absent; fails instead where every skip is a failure."""
    if REQUIRE_ALL:
        pytest.fail(f"{reason} (KENNEL_REQUIRE_ALL=1)")
    pytest.skip(reason)


def wait_until(condition, deadline_secs: float = 60.0, every_secs: float = 0.1):
    """The first true value of `condition`; fails when the deadline passes."""
    end = time.monotonic() + deadline_secs
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            pytest.fail(f"still waiting after {deadline_secs} s for {condition}")
        time.sleep(every_secs)


class Server:
    """One `kennel up` with a data directory of its own."""

    def __init__(self, binary: Path, data_dir: Path, environment: dict[str, str] | None = None):
        self.binary = binary
        self.data_dir = data_dir
        self.environment = environment or {}
        self.process: subprocess.Popen | None = None
        self.listen = "127.0.0.1:0"
        self.endpoint = ""
        self.access_key_id = "AKIATESTTESTTESTTEST"
        self.secret_access_key = "obviously/fake/secret/used/in/tests/only"

    def start(self) -> "Server":
        if not self.start_again():
            pytest.fail(f"the server did not start; its log is {self.log}")
        return self

    @property
    def log(self) -> Path:
        return self.data_dir.parent / f"{self.data_dir.name}.log"

    def start_again(self) -> str | None:
        """Starts it and returns the line it said when ready; `None` where it died before."""
        log = open(self.log, "ab")
        self.process = subprocess.Popen(
            [self.binary, "up", "--data-dir", self.data_dir, "--listen", self.listen],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={
                **os.environ,
                "KENNEL_ROOT_ACCESS_KEY_ID": self.access_key_id,
                "KENNEL_ROOT_SECRET_ACCESS_KEY": self.secret_access_key,
                **self.environment,
            },
        )
        line = self.process.stdout.readline()
        found = re.search(r"http://(\S+)", line)
        if not found:
            self.process.wait()
            return None
        self.listen = found.group(1)
        self.endpoint = found.group(0)
        return line

    def kill9(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self, deadline_secs: float = 60) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=deadline_secs)

    def restart(self) -> "Server":
        self.stop()
        return self.start()

    def client(self, service: str, region: str = "us-east-1", **settings):
        """A boto3 client with the root key; `config=` and credentials may be given."""
        settings.setdefault("aws_access_key_id", self.access_key_id)
        settings.setdefault("aws_secret_access_key", self.secret_access_key)
        settings.setdefault(
            "config", botocore.config.Config(retries={"max_attempts": 1}, read_timeout=60)
        )
        made = boto3.client(
            service, endpoint_url=self.endpoint, region_name=region, **settings
        )
        shapes.watch(made)
        return made

    def client_environment(self) -> dict[str, str]:
        return {
            **{k: v for k, v in os.environ.items() if not k.startswith("AWS_")},
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_PAGER": "",
            "AWS_CONFIG_FILE": "/nonexistent",
            "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
        }

    def aws(self, *arguments, check: bool = True) -> subprocess.CompletedProcess:
        """Runs the AWS CLI; `check=False` returns a failure instead of failing the test."""
        done = subprocess.run(
            [Path(sys.executable).with_name("aws"), *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=300,
            env=self.client_environment(),
        )
        if check and done.returncode != 0:
            pytest.fail(f"aws {' '.join(map(str, arguments))}: {done.stdout}{done.stderr}")
        return done

    def aws_json(self, *arguments):
        return json.loads(self.aws(*arguments, "--output", "json").stdout)

    def kennel(self, *arguments, check: bool = True) -> subprocess.CompletedProcess:
        """Runs a verb of the binary against this server."""
        done = subprocess.run(
            [self.binary, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=600,
            env=self.client_environment(),
        )
        if check and done.returncode != 0:
            pytest.fail(f"kennel {' '.join(map(str, arguments))}: {done.stdout}{done.stderr}")
        return done


@pytest.fixture(scope="session")
def binary() -> Path:
    path = os.environ.get("KENNEL_BIN")
    return Path(path) if path else REPOSITORY / "target" / "debug" / "kennel"


@pytest.fixture(scope="session")
def server(binary, tmp_path_factory):
    """The server most tests share; they keep apart by names of their own."""
    running = Server(binary, tmp_path_factory.mktemp("server") / "data").start()
    yield running
    running.stop()


@pytest.fixture
def fresh_server(binary, tmp_path):
    """Starts servers of the test's own: `fresh_server()`; all are stopped at its end."""
    started: list[Server] = []

    def start(data_dir: Path | None = None, **environment: str) -> Server:
        place = data_dir or tmp_path / f"data-{len(started)}"
        running = Server(binary, place, environment)
        started.append(running)
        return running.start()

    yield start
    for running in started:
        if running.process.poll() is None:
            running.stop()


@pytest.fixture(scope="session")
def client(server):
    return server.client


@pytest.fixture(scope="session")
def aws(server):
    return server.aws


@pytest.fixture
def name() -> str:
    """A name no other test uses."""
    return f"t-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def bucket(server, name) -> str:
    """A bucket of the test's own, on the shared server."""
    server.client("s3").create_bucket(Bucket=name)
    return name


@pytest.fixture(scope="session")
def pictures(binary, tmp_path_factory) -> Path:
    """A small ImageFolder (train|valid|test/NNN.Breed/*.jpg): real photos where there are any,
    drawn dogs otherwise."""
    target = tmp_path_factory.mktemp("pictures") / "dogs"
    if not PHOTOS.is_dir():
        subprocess.run(
            [binary, "data", "draw", target, "--breeds", "4", "--train", "12", "--valid", "4",
             "--test", "4", "--seed", "7"],
            check=True,
            timeout=300,
        )
        return target
    for split, count in (("train", 8), ("valid", 3), ("test", 3)):
        for breed in sorted((PHOTOS / split).iterdir())[:4]:
            place = target / split / breed.name
            place.mkdir(parents=True)
            for photo in sorted(breed.iterdir())[:count]:
                (place / photo.name).write_bytes(photo.read_bytes())
    return target


@pytest.fixture(scope="session")
def data_bucket(server, pictures) -> str:
    """A bucket of the shared server that holds `pictures` at its root."""
    s3 = server.client("s3")
    bucket_name = f"data-{uuid.uuid4().hex[:12]}"
    s3.create_bucket(Bucket=bucket_name)
    for path in sorted(pictures.rglob("*.jpg")):
        s3.put_object(
            Bucket=bucket_name, Key=str(path.relative_to(pictures)), Body=path.read_bytes()
        )
    return bucket_name


def training_request(job: str, bucket_name: str, prefix: str = "", **changes) -> dict:
    """A CreateTrainingJob request of the native image over a bucket of pictures."""
    request = {
        "TrainingJobName": job,
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "RoleArn": ROLE_ARN,
        "InputDataConfig": [
            {
                "ChannelName": "training",
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": f"s3://{bucket_name}/{prefix}",
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
            }
        ],
        "OutputDataConfig": {"S3OutputPath": f"s3://{bucket_name}/models"},
        "ResourceConfig": {
            "InstanceCount": 1,
            "InstanceType": INSTANCE_TYPE,
            "VolumeSizeInGB": 5,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        "HyperParameters": {"epochs": "5"},
    }
    return {**request, **changes}


def wait_for_training(sagemaker, job: str, deadline_secs: float = 180) -> dict:
    """The job's description once its status is final."""

    def finished():
        description = sagemaker.describe_training_job(TrainingJobName=job)
        final = description["TrainingJobStatus"] in ("Completed", "Failed", "Stopped")
        return description if final else None

    return wait_until(finished, deadline_secs)


@pytest.fixture(scope="session")
def trained(server, data_bucket) -> dict:
    """The description of one completed training job on the shared server."""
    sagemaker = server.client("sagemaker")
    job = f"trained-{uuid.uuid4().hex[:8]}"
    sagemaker.create_training_job(**training_request(job, data_bucket))
    description = wait_for_training(sagemaker, job)
    assert description["TrainingJobStatus"] == "Completed", description
    return description
