"""Start, memory, first line and invocation overhead, beside moto and beside the bare replica."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.credentials

KENNEL = Path(os.environ["KENNEL_BIN"]).resolve()
MOTO = Path(sys.executable).with_name("moto_server")
STARTS = 7
JOBS = 5
INVOCATIONS = 400
KEY = ("AKIATESTTESTTESTTEST", "obviously/fake/secret/used/in/benches/only")
ROLE = "arn:aws:iam::123456789012:role/bench"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(command: list, url: str, environment: dict | None = None):
    """Starts a server and returns it with the milliseconds until it answered."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env={**os.environ, **(environment or {})},
    )
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).read()
            return process, (time.perf_counter() - begin) * 1e3
        except OSError:
            if time.perf_counter() - begin > 60:
                raise
            time.sleep(0.0005)


def stop(process) -> None:
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)


def resident_mb(process) -> float:
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise LookupError("no VmRSS")


def start_kennel(data_dir: Path, port: int):
    return start(
        [KENNEL, "up", "--data-dir", data_dir, "--listen", f"127.0.0.1:{port}"],
        f"http://127.0.0.1:{port}/_kennel/health",
        {"KENNEL_ROOT_ACCESS_KEY_ID": KEY[0], "KENNEL_ROOT_SECRET_ACCESS_KEY": KEY[1]},
    )


def start_moto(port: int):
    return start([MOTO, "-p", str(port)], f"http://127.0.0.1:{port}/moto-api/data.json")


def starts_and_memory(place: Path) -> list[tuple]:
    kennel_ms, moto_ms, kennel_mb, moto_mb = [], [], [], []
    for turn in range(STARTS):
        process, took = start_kennel(place / f"start-{turn}", free_port())
        kennel_ms.append(took)
        time.sleep(0.5)
        kennel_mb.append(resident_mb(process))
        stop(process)
        process, took = start_moto(free_port())
        moto_ms.append(took)
        moto_mb.append(resident_mb(process))
        stop(process)
    return [
        ("start to first answer", kennel_ms, "ms", "moto server", moto_ms),
        ("idle memory", kennel_mb, "MB", "moto server", moto_mb),
    ]


def client(service: str, port: int):
    return boto3.client(
        service, endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1",
        aws_access_key_id=KEY[0], aws_secret_access_key=KEY[1],
    )


def upload_dogs(port: int, place: Path) -> None:
    subprocess.run(
        [KENNEL, "data", "draw", place / "dogs", "--breeds", "3", "--train", "6", "--valid", "2",
         "--test", "2"], check=True, capture_output=True,
    )
    s3 = client("s3", port)
    s3.create_bucket(Bucket="bench")
    for path in sorted((place / "dogs").rglob("*.jpg")):
        s3.put_object(
            Bucket="bench", Key=f"dogs/{path.relative_to(place / 'dogs')}", Body=path.read_bytes()
        )


def train(port: int, name: str) -> float:
    """Milliseconds from CreateTrainingJob to the workload's first line in the log."""
    sagemaker, logs = client("sagemaker", port), client("logs", port)
    begin = time.time()
    sagemaker.create_training_job(
        TrainingJobName=name,
        RoleArn=ROLE,
        AlgorithmSpecification={
            "TrainingImage": "kennel/image-classification:1", "TrainingInputMode": "File",
        },
        InputDataConfig=[{
            "ChannelName": "training",
            "DataSource": {"S3DataSource": {
                "S3DataType": "S3Prefix", "S3Uri": "s3://bench/dogs/",
            }},
        }],
        OutputDataConfig={"S3OutputPath": "s3://bench/models"},
        ResourceConfig={"InstanceCount": 1, "InstanceType": "ml.m5.large", "VolumeSizeInGB": 5},
        StoppingCondition={"MaxRuntimeInSeconds": 600},
    )
    sagemaker.get_waiter("training_job_completed_or_stopped").wait(
        TrainingJobName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 120}
    )
    group = "/aws/sagemaker/TrainingJobs"
    stream = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{name}/")
    events = logs.get_log_events(
        logGroupName=group, startFromHead=True,
        logStreamName=stream["logStreams"][0]["logStreamName"],
    )["events"]
    return events[0]["timestamp"] - begin * 1e3


def deploy(port: int, job: str) -> None:
    sagemaker = client("sagemaker", port)
    artifact = sagemaker.describe_training_job(TrainingJobName=job)["ModelArtifacts"]
    sagemaker.create_model(
        ModelName="bench", ExecutionRoleArn=ROLE,
        PrimaryContainer={
            "Image": "kennel/image-classification:1",
            "ModelDataUrl": artifact["S3ModelArtifacts"],
        },
    )
    sagemaker.create_endpoint_config(
        EndpointConfigName="bench",
        ProductionVariants=[{
            "VariantName": "AllTraffic", "ModelName": "bench", "InstanceType": "ml.m5.large",
            "InitialInstanceCount": 1,
        }],
    )
    sagemaker.create_endpoint(EndpointName="bench", EndpointConfigName="bench")
    sagemaker.get_waiter("endpoint_in_service").wait(
        EndpointName="bench", WaiterConfig={"Delay": 1, "MaxAttempts": 120}
    )


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str):
        super().__init__("localhost")
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def signed_headers(port: int, body: bytes) -> dict:
    request = botocore.awsrequest.AWSRequest(
        "POST", f"http://127.0.0.1:{port}/endpoints/bench/invocations", data=body,
        headers={"Content-Type": "image/jpeg", "Accept": "application/json"},
    )
    credentials = botocore.credentials.Credentials(*KEY)
    botocore.auth.SigV4Auth(credentials, "sagemaker", "us-east-1").add_auth(request)
    return dict(request.headers)


def invocations(port: int, data_dir: Path, picture: bytes) -> tuple[list, list]:
    """The same request in turn through the API and straight to the replica's socket. A body that
    is no picture is answered at once, so that inference does not drown what is measured."""
    [replica] = data_dir.rglob("http.sock")
    # Socket addresses are short; the data directory may not be.
    link = Path(tempfile.mkdtemp()) / "replica"
    link.symlink_to(replica)
    through = http.client.HTTPConnection("127.0.0.1", port)
    direct = UnixConnection(str(link))
    signed = signed_headers(port, picture)
    api_ms, replica_ms = [], []
    for turn in range(INVOCATIONS):
        for connection, path, headers, times in (
            (through, "/endpoints/bench/invocations", signed, api_ms),
            (direct, "/invocations", {"Content-Type": "image/jpeg"}, replica_ms),
        ):
            begin = time.perf_counter()
            connection.request("POST", path, body=picture, headers=headers)
            connection.getresponse().read()
            if turn >= 20:
                times.append((time.perf_counter() - begin) * 1e3)
    return api_ms, replica_ms


def show(rows: list[tuple]) -> None:
    print(f"{'measure':34} {'kennel':>10} {'':4} {'beside':>10}  what stands beside")
    for name, ours, unit, other, theirs in rows:
        beside = f"{statistics.median(theirs):10.2f}" if theirs else f"{'-':>10}"
        print(f"{name:34} {statistics.median(ours):10.2f} {unit:4} {beside}  {other}")
    print("medians; idle memory is the resident set of the server half a second after its start")


def main() -> None:
    place = Path(tempfile.mkdtemp(prefix="kennel-bench-"))
    try:
        rows = starts_and_memory(place)
        port = free_port()
        process, _ = start_kennel(place / "data", port)
        upload_dogs(port, place)
        first = [train(port, f"job-{turn}") for turn in range(JOBS)]
        rows.append(("CreateTrainingJob to first line", first, "ms", "moto runs nothing", []))
        deploy(port, "job-0")
        picture = next((place / "dogs" / "test").rglob("*.jpg")).read_bytes()
        for name, body in (("InvokeEndpoint, a picture", picture), ("InvokeEndpoint, no picture", b"x")):
            api_ms, replica_ms = invocations(port, place / "data", body)
            rows.append((name, api_ms, "ms", "the replica's socket", replica_ms))
        overhead = statistics.median(api_ms) - statistics.median(replica_ms)
        rows.append(("InvokeEndpoint's overhead, p50", [overhead], "ms", "difference of the last", []))
        stop(process)
        show(rows)
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
