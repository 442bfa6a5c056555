"""kill -9 of the server at every outside effect and at random moments.

A client goes through upload, training, deployment and update, starting the server again whenever
it is gone. At the end everything acknowledged is there, the job is Completed with the model an
undisturbed run makes, the endpoint serves, and no process is left over.
"""

from __future__ import annotations

import hashlib
import io
import os
import random
import tarfile
import threading
import time
from pathlib import Path

import botocore.config
import botocore.exceptions
import pytest
from conftest import IMAGE, ROLE_ARN, Server, training_request, wait_until

RANDOM_KILLS = 50
EFFECTS = (
    "append",
    "commit blob",
    "commit buckets",
    "commit endpoint-configs",
    "commit endpoints",
    "commit log-groups",
    "commit models",
    "commit runs",
    "commit sessions",
    "commit training-jobs",
    "delete blob",
    "reap",
    "start supervisor",
)
GONE = (
    botocore.exceptions.ConnectionError,
    botocore.exceptions.ConnectionClosedError,
    botocore.exceptions.HTTPClientError,
)


class Loop:
    """The flow of one user who does not give up, against a server that dies."""

    def __init__(self, server: Server, pictures: Path):
        self.server = server
        self.pictures = pictures
        self.starting = threading.Lock()
        self.restarts = 0
        self.acknowledged: dict[str, str] = {}

    def revive(self) -> None:
        with self.starting:
            while self.server.process.poll() is not None:
                self.restarts += 1
                line = self.server.start_again()
                if line is None:
                    time.sleep(0.01)

    def ask(self, service: str, operation: str, already: tuple[str, ...] = (), **arguments):
        """Calls until an answer comes. `already` are the errors that say that an earlier try,
        whose answer was lost, had been done."""
        tries = 0
        while True:
            tries += 1
            client = self.server.client(
                service,
                config=botocore.config.Config(
                    retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=30
                ),
            )
            try:
                return getattr(client, operation)(**arguments)
            except GONE:
                self.revive()
            except botocore.exceptions.ClientError as error:
                status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                if tries > 1 and any(sentence in str(error) for sentence in already):
                    return None
                if status < 500:
                    raise
                time.sleep(0.05)

    def run(self) -> str:
        """The whole flow; returns the digest of the trained network."""
        self.ask("s3", "create_bucket", already=("BucketAlreadyOwnedByYou",), Bucket="dogs")
        for path in sorted(self.pictures.rglob("*.jpg")):
            key, body = str(path.relative_to(self.pictures)), path.read_bytes()
            self.ask("s3", "put_object", Bucket="dogs", Key=f"data/{key}", Body=body)
            self.acknowledged[f"data/{key}"] = hashlib.sha256(body).hexdigest()
        self.ask(
            "sagemaker",
            "create_training_job",
            already=("already exists",),
            **training_request("job", "dogs", "data/", HyperParameters={"epochs": "3"}),
        )
        job = wait_until(self.finished_job, 300)
        assert job["TrainingJobStatus"] == "Completed", job.get("FailureReason")
        artifact = job["ModelArtifacts"]["S3ModelArtifacts"]
        self.deploy(artifact)
        self.check_objects()
        return self.digest(artifact)

    def finished_job(self):
        job = self.ask("sagemaker", "describe_training_job", TrainingJobName="job")
        final = job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped")
        return job if final else None

    def deploy(self, artifact: str) -> None:
        self.ask(
            "sagemaker",
            "create_model",
            already=("already exist",),
            ModelName="model",
            ExecutionRoleArn=ROLE_ARN,
            PrimaryContainer={"Image": IMAGE, "ModelDataUrl": artifact},
        )
        for config in ("first", "second"):
            variant = {
                "VariantName": "AllTraffic",
                "ModelName": "model",
                "InstanceType": "ml.m5.large",
                "InitialInstanceCount": 1,
            }
            self.ask(
                "sagemaker",
                "create_endpoint_config",
                already=("already exist",),
                EndpointConfigName=config,
                ProductionVariants=[variant],
            )
        self.ask(
            "sagemaker",
            "create_endpoint",
            already=("already exist",),
            EndpointName="endpoint",
            EndpointConfigName="first",
        )
        wait_until(lambda: self.serves("first"), 120)
        self.ask(
            "sagemaker",
            "update_endpoint",
            already=("Cannot update",),
            EndpointName="endpoint",
            EndpointConfigName="second",
        )
        wait_until(lambda: self.serves("second"), 120)

    def serves(self, config: str) -> bool:
        seen = self.ask("sagemaker", "describe_endpoint", EndpointName="endpoint")
        assert seen["EndpointStatus"] != "Failed", seen
        if (seen["EndpointStatus"], seen["EndpointConfigName"]) != ("InService", config):
            return False
        picture = next(iter(sorted(self.pictures.rglob("*.jpg"))))
        try:
            answer = self.ask(
                "sagemaker-runtime",
                "invoke_endpoint",
                EndpointName="endpoint",
                ContentType="image/jpeg",
                Body=picture.read_bytes(),
            )
        except botocore.exceptions.ClientError:
            return False
        return answer["Body"].read().startswith(b"[[")

    def check_objects(self) -> None:
        for key, digest in self.acknowledged.items():
            body = self.ask("s3", "get_object", Bucket="dogs", Key=key)["Body"].read()
            assert hashlib.sha256(body).hexdigest() == digest, f"{key} is lost or torn"

    def digest(self, artifact: str) -> str:
        key = artifact.removeprefix("s3://dogs/")
        body = self.ask("s3", "get_object", Bucket="dogs", Key=key)["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(body)) as archive:
            return hashlib.sha256(archive.extractfile("model.onnx").read()).hexdigest()

    def remove(self) -> None:
        self.ask(
            "sagemaker",
            "delete_endpoint",
            already=("Could not find", "Cannot update in-progress"),
            EndpointName="endpoint",
        )

        def gone() -> bool:
            try:
                self.ask("sagemaker", "describe_endpoint", EndpointName="endpoint")
            except botocore.exceptions.ClientError as error:
                return "Could not find" in str(error)
            return False

        wait_until(gone, 60)


@pytest.fixture(scope="module")
def reference(binary, pictures, tmp_path_factory) -> str:
    """The digest of the network that an undisturbed run trains."""
    server = Server(binary, tmp_path_factory.mktemp("reference") / "data").start()
    loop = Loop(server, pictures)
    digest = loop.run()
    loop.remove()
    server.stop()
    return digest


def test_every_outside_effect_survives_a_kill_before_and_after(
    binary, pictures, reference, tmp_path
):
    points = tmp_path / "points"
    server = Server(binary, tmp_path / "data", {"KENNEL_CRASH_POINTS": str(points)})
    loop = Loop(server, pictures)
    server.start_again()
    try:
        loop.revive()
        assert loop.run() == reference
        loop.remove()
        loop.revive()
        server.stop()
    finally:
        server.process.kill()
    met = set(points.read_text().splitlines())
    for effect in EFFECTS:
        for when in ("before", "after"):
            assert any(p.startswith(f"{when} {effect}") for p in met), f"not met: {when} {effect}"
    assert_nothing_left(tmp_path)


def test_fifty_random_kills_lose_nothing(binary, pictures, reference, tmp_path):
    seed = int(os.environ.get("KENNEL_CRASH_SEED", random.randrange(1 << 32)))
    print(f"KENNEL_CRASH_SEED={seed}")
    moments = random.Random(seed)
    server = Server(binary, tmp_path / "data").start()
    loop = Loop(server, pictures)
    done = threading.Event()
    kills = 0

    def kill() -> None:
        nonlocal kills
        while kills < RANDOM_KILLS:
            time.sleep(moments.uniform(0.0, 0.6))
            with loop.starting:
                if server.process.poll() is None:
                    server.process.kill()
                    server.process.wait()
                    kills += 1
            loop.revive()
        done.set()

    killer = threading.Thread(target=kill, name=f"kills of seed {seed}")
    killer.start()
    digest = loop.run()
    while not done.is_set():
        assert loop.serves("second") in (True, False)
    killer.join()
    wait_until(lambda: loop.serves("second"), 60)
    loop.check_objects()
    assert digest == reference, f"seed {seed}"
    loop.remove()
    server.stop()
    assert_nothing_left(tmp_path)


def assert_nothing_left(place: Path) -> None:
    """No process names the server's directory in its command line or runs below it."""

    def left() -> list[str]:
        found = []
        for process in Path("/proc").iterdir():
            if not process.name.isdigit():
                continue
            try:
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                continue
            if str(place) in command:
                found.append(f"{process.name}: {command}")
        return found

    wait_until(lambda: not left(), 20)
