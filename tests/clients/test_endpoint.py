"""Models, endpoint configurations and endpoints that really serve, through boto3 and the AWS CLI."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import subprocess
import tarfile
import threading
import time
import uuid
from pathlib import Path

import botocore.exceptions
import pytest
from botocore.config import Config
from conftest import IMAGE, ROLE_ARN, wait_until
from PIL import Image

# The smallest type an endpoint takes: several fit beside each other on a machine for tests.
INSTANCE_TYPE = "ml.t2.medium"
ACCOUNT = "123456789012"
ARN = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}"


@pytest.fixture(scope="session")
def artifact(binary, pictures, tmp_path_factory) -> bytes:
    """A model.tar.gz, trained by the workload itself without a server."""
    base = tmp_path_factory.mktemp("train") / "ml"
    for directory in ("input/config", "input/data", "model", "output/data"):
        (base / directory).mkdir(parents=True)
    for split, channel in (("train", "train"), ("valid", "validation")):
        (base / "input/data" / channel).symlink_to(pictures / split)
    config = base / "input/config"
    channels = {name: {"TrainingInputMode": "File"} for name in ("train", "validation")}
    (config / "inputdataconfig.json").write_text(json.dumps(channels))
    (config / "hyperparameters.json").write_text(json.dumps({"epochs": "3"}))
    hosts = {"current_host": "algo-1", "hosts": ["algo-1"]}
    (config / "resourceconfig.json").write_text(json.dumps(hosts))
    done = subprocess.run(
        [binary, "image-classification", "train"],
        env={**os.environ, "SAGEMAKER_BASE_DIR": str(base)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for path in sorted((base / "model").iterdir()):
            archive.add(path, arcname=path.name)
    return packed.getvalue()


@pytest.fixture(scope="session")
def labels(artifact) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(artifact)) as archive:
        return json.load(archive.extractfile("labels.json"))


@pytest.fixture(scope="session")
def photo(pictures) -> bytes:
    return next(iter(sorted((pictures / "test").rglob("*.jpg")))).read_bytes()


def put_artifact(server, artifact: bytes) -> str:
    bucket = f"models-{uuid.uuid4().hex[:12]}"
    s3 = server.client("s3")
    s3.create_bucket(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="dogs/model.tar.gz", Body=artifact)
    return f"s3://{bucket}/dogs/model.tar.gz"


@pytest.fixture(scope="session")
def model_url(server, artifact) -> str:
    return put_artifact(server, artifact)


def make_model(server, name: str, url: str, **changes) -> str:
    container = {"Image": IMAGE, "ModelDataUrl": url}
    request = {"PrimaryContainer": container, "ExecutionRoleArn": ROLE_ARN, **changes}
    return server.client("sagemaker").create_model(ModelName=name, **request)["ModelArn"]


def variant(model: str, name: str = "AllTraffic", instances: int = 1, **changes) -> dict:
    return {
        "VariantName": name,
        "ModelName": model,
        "InitialInstanceCount": instances,
        "InstanceType": INSTANCE_TYPE,
        **changes,
    }


def make_config(server, name: str, *variants: dict, **changes) -> str:
    sagemaker = server.client("sagemaker")
    made = sagemaker.create_endpoint_config(
        EndpointConfigName=name, ProductionVariants=list(variants), **changes
    )
    return made["EndpointConfigArn"]


def settled(server, endpoint: str, deadline_secs: float = 90) -> dict:
    """The endpoint's description once nothing of it is under way."""
    sagemaker = server.client("sagemaker")

    def done():
        description = sagemaker.describe_endpoint(EndpointName=endpoint)
        under_way = description["EndpointStatus"] in ("Creating", "Updating", "RollingBack")
        return None if under_way else description

    return wait_until(done, deadline_secs)


def deploy(server, name: str, url: str, instances: int = 1) -> dict:
    make_model(server, name, url)
    make_config(server, name, variant(name, instances=instances))
    server.client("sagemaker").create_endpoint(EndpointName=name, EndpointConfigName=name)
    description = settled(server, name)
    assert description["EndpointStatus"] == "InService", description
    return description


def delete(server, endpoint: str) -> None:
    sagemaker = server.client("sagemaker")
    sagemaker.delete_endpoint(EndpointName=endpoint)
    waiter = sagemaker.get_waiter("endpoint_deleted")
    waiter.wait(EndpointName=endpoint, WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def invoke(server, endpoint: str, body: bytes, content_type: str = "image/jpeg", **more) -> dict:
    runtime = server.client("sagemaker-runtime")
    return runtime.invoke_endpoint(
        EndpointName=endpoint, Body=body, ContentType=content_type, **more
    )


def rows(answer: dict) -> list[list[float]]:
    return json.loads(answer["Body"].read())


def refused(call, **arguments) -> tuple[str, str]:
    """Code and message of the error a call ends with."""
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**arguments)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def processes() -> dict[int, tuple[int, bytes]]:
    """Parent and command line of every process."""
    found = {}
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                command = (process / "cmdline").read_bytes()
                stat = (process / "stat").read_text()
            except OSError:
                continue
            found[int(process.name)] = (int(stat.rpartition(")")[2].split()[1]), command)
    return found


def replicas(server) -> list[int]:
    """Process ids of the workloads that serve for this server: descendants of its supervisors."""
    alive = processes()
    needle = str(server.data_dir).encode()

    def supervised(pid: int) -> bool:
        while pid in alive:
            parent, command = alive[pid]
            if b"__supervise" in command and needle in command:
                return True
            pid = parent
        return False

    return [
        pid
        for pid, (_, command) in alive.items()
        if b"image-classification\0serve" in command and supervised(pid)
    ]


@pytest.fixture(scope="module")
def serving(server, model_url):
    """An endpoint on the shared server that the tests of this file invoke."""
    name = f"serving-{uuid.uuid4().hex[:8]}"
    deploy(server, name, model_url)
    yield name
    delete(server, name)


# --- models -------------------------------------------------------------------------------------


def test_model_is_described_as_it_was_created(server, client, name, model_url):
    sagemaker = client("sagemaker")
    environment = {"SAGEMAKER_PROGRAM": "inference.py", "EMPTY": ""}
    vpc = {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1", "subnet-2"]}
    container = {"Image": IMAGE, "ModelDataUrl": model_url, "Environment": environment}
    arn = make_model(
        server,
        name,
        model_url,
        PrimaryContainer=container,
        VpcConfig=vpc,
        EnableNetworkIsolation=True,
        Tags=[{"Key": "team", "Value": "kennel"}],
    )
    assert arn == f"{ARN}:model/{name}"
    described = sagemaker.describe_model(ModelName=name)
    assert described["PrimaryContainer"] == {**container, "Mode": "SingleModel"}
    assert described["VpcConfig"] == vpc
    assert described["EnableNetworkIsolation"] is True
    assert described["ExecutionRoleArn"] == ROLE_ARN
    assert described["ModelArn"] == arn
    assert "Containers" not in described
    assert abs(described["CreationTime"].timestamp() - time.time()) < 60
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "team", "Value": "kennel"}]
    sagemaker.delete_model(ModelName=name)
    message = f'Could not find model "{arn}".'
    assert refused(sagemaker.describe_model, ModelName=name) == ("ValidationException", message)
    assert refused(sagemaker.delete_model, ModelName=name) == ("ValidationException", message)


def test_one_container_in_a_list_and_a_data_source_are_shown_as_given(client, name, model_url):
    source = {
        "S3DataSource": {
            "S3Uri": model_url,
            "S3DataType": "S3Object",
            "CompressionType": "Gzip",
        }
    }
    sagemaker = client("sagemaker")
    sagemaker.create_model(
        ModelName=name,
        Containers=[{"Image": IMAGE, "ModelDataSource": source}],
        ExecutionRoleArn=ROLE_ARN,
    )
    described = sagemaker.describe_model(ModelName=name)
    assert "PrimaryContainer" not in described
    assert "VpcConfig" not in described
    assert described["Containers"][0]["ModelDataSource"] == source
    sagemaker.delete_model(ModelName=name)


def test_models_that_cannot_serve_are_refused_by_member(client, name, model_url):
    create = client("sagemaker", config=Config(parameter_validation=False)).create_model
    good = {"Image": IMAGE, "ModelDataUrl": model_url}
    bucket = model_url.split("/")[2]

    def message(container=None, **changes):
        request = {
            "ModelName": name,
            "PrimaryContainer": {**good, **(container or {})},
            "ExecutionRoleArn": ROLE_ARN,
            **changes,
        }
        request = {key: value for key, value in request.items() if value is not None}
        code, text = refused(create, **request)
        assert code == "ValidationException"
        return text

    pytorch = "763104351884.dkr.ecr.us-east-1.amazonaws.com/pytorch-inference:1.4-cpu-py3"
    assert "'primaryContainer.image'" in message({"Image": pytorch})
    assert "'primaryContainer.mode'" in message({"Mode": "MultiModel"})
    assert "'primaryContainer.modelDataUrl'" in message({"ModelDataUrl": f"s3://{bucket}/"})
    missing = message({"ModelDataUrl": f"s3://{bucket}/none.tar.gz"})
    assert missing.startswith(f"Could not access model data at s3://{bucket}/none.tar.gz.")
    assert "'primaryContainer.modelPackageName'" in message({"ModelPackageName": "package"})
    assert "'modelName'" in message(ModelName="-bad-")
    assert "'executionRoleArn'" in message(ExecutionRoleArn="arn:aws:iam::1:user/nobody")
    assert "'containers'" in message(PrimaryContainer=None, Containers=[good, good])
    assert "'primaryContainer.environment.key'" in message({"Environment": {"1A": "x"}})
    other = ROLE_ARN.replace(ACCOUNT, "210987654321")
    assert message(ExecutionRoleArn=other) == "Cross-account pass role is not allowed."


def test_model_names_differ_by_more_than_case(server, client, name, model_url):
    make_model(server, name, model_url)
    container = {"Image": IMAGE, "ModelDataUrl": model_url}
    assert refused(
        client("sagemaker").create_model,
        ModelName=name.upper(),
        PrimaryContainer=container,
        ExecutionRoleArn=ROLE_ARN,
    ) == (
        "ValidationException",
        f'Cannot create already existing model "{ARN}:model/{name}".',
    )


def test_models_are_listed_filtered_sorted_and_paged(server, client, name, model_url):
    sagemaker = client("sagemaker")
    made = [f"{name}-{letter}" for letter in "bca"]
    for one in made:
        make_model(server, one, model_url)
    pages = sagemaker.get_paginator("list_models").paginate(
        NameContains=name, SortBy="Name", SortOrder="Ascending", PaginationConfig={"PageSize": 2}
    )
    pages = [[model["ModelName"] for model in page["Models"]] for page in pages]
    assert pages == [sorted(made)[:2], sorted(made)[2:]]
    newest_first = sagemaker.list_models(NameContains=name)["Models"]
    assert [model["ModelName"] for model in newest_first] == made[::-1]
    between = sagemaker.list_models(
        NameContains=name,
        CreationTimeAfter=newest_first[2]["CreationTime"],
        CreationTimeBefore=newest_first[0]["CreationTime"],
    )
    assert [model["ModelName"] for model in between["Models"]] == [made[1]]
    code, _ = refused(sagemaker.list_models, NextToken="nonsense")
    assert code == "ValidationException"


# --- endpoint configurations --------------------------------------------------------------------


def test_endpoint_config_is_described_listed_and_deleted(server, client, name, model_url):
    sagemaker = client("sagemaker")
    make_model(server, name, model_url)
    given = variant(
        name,
        InitialVariantWeight=0.5,
        ContainerStartupHealthCheckTimeoutInSeconds=90,
        ModelDataDownloadTimeoutInSeconds=120,
        VolumeSizeInGB=8,
        RoutingConfig={"RoutingStrategy": "RANDOM"},
    )
    arn = make_config(server, name, given, KmsKeyId="alias/key")
    assert arn == f"{ARN}:endpoint-config/{name}"
    described = sagemaker.describe_endpoint_config(EndpointConfigName=name)
    assert described["ProductionVariants"] == [given]
    assert described["KmsKeyId"] == "alias/key"
    for absent in ("DataCaptureConfig", "VpcConfig", "AsyncInferenceConfig"):
        assert absent not in described
    listed = sagemaker.list_endpoint_configs(NameContains=name)["EndpointConfigs"]
    assert [one["EndpointConfigArn"] for one in listed] == [arn]
    again = refused(
        sagemaker.create_endpoint_config, EndpointConfigName=name, ProductionVariants=[given]
    )
    assert again == (
        "ValidationException",
        f'Cannot create already existing endpoint configuration "{arn}".',
    )
    sagemaker.delete_endpoint_config(EndpointConfigName=name)
    absent = ("ValidationException", f'Could not find endpoint configuration "{arn}".')
    assert refused(sagemaker.describe_endpoint_config, EndpointConfigName=name) == absent
    assert refused(sagemaker.delete_endpoint_config, EndpointConfigName=name) == absent


def test_what_no_endpoint_can_do_is_refused_by_member(server, client, name, model_url):
    # The client's own checks off: the server has the last word.
    create = client("sagemaker", config=Config(parameter_validation=False)).create_endpoint_config
    make_model(server, name, model_url)

    def message(changes=None, **request):
        variants = [{**variant(name), **(changes or {})}]
        code, text = refused(
            create, **{"EndpointConfigName": name, "ProductionVariants": variants, **request}
        )
        assert code == "ValidationException"
        return text

    where = "'productionVariants.1.member."
    assert f"{where}instanceType'" in message({"InstanceType": "ml.nothing.large"})
    assert f"{where}initialInstanceCount'" in message({"InitialInstanceCount": 0})
    assert f"{where}acceleratorType'" in message({"AcceleratorType": "ml.eia2.medium"})
    serverless = {"ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1}}
    assert f"{where}serverlessConfig'" in message(serverless)
    absent = message({"ModelName": f"{name}-none"})
    assert absent == f'Could not find model "{ARN}:model/{name}-none".'
    assert "'productionVariants.2.member.variantName'" in message(
        ProductionVariants=[variant(name), variant(name)]
    )
    output = {"S3OutputPath": "s3://somewhere/out"}
    assert "'asyncInferenceConfig'" in message(AsyncInferenceConfig={"OutputConfig": output})
    shadow = message(ShadowProductionVariants=[variant(name, "shadow")])
    assert "'shadowProductionVariants'" in shadow


# --- endpoints ----------------------------------------------------------------------------------


def test_endpoint_serves_pictures_and_json(server, serving, labels, photo):
    description = server.client("sagemaker").describe_endpoint(EndpointName=serving)
    assert description["EndpointArn"] == f"{ARN}:endpoint/{serving}"
    assert description["EndpointConfigName"] == serving
    (shown,) = description["ProductionVariants"]
    assert shown["VariantName"] == "AllTraffic"
    assert shown["CurrentInstanceCount"] == shown["DesiredInstanceCount"] == 1
    assert shown["CurrentWeight"] == 1.0
    assert shown["DeployedImages"][0]["SpecifiedImage"] == IMAGE
    assert "FailureReason" not in description

    answer = invoke(server, serving, photo)
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert answer["ContentType"].startswith("application/json")
    (logits,) = rows(answer)
    assert len(logits) == len(labels)

    png = io.BytesIO()
    Image.open(io.BytesIO(photo)).save(png, "PNG")
    (same,) = rows(invoke(server, serving, png.getvalue(), "image/png"))
    assert same == pytest.approx(logits, abs=0.05)
    (same,) = rows(invoke(server, serving, photo, "application/x-image"))
    assert same == pytest.approx(logits)
    instance = {"b64": base64.b64encode(photo).decode()}
    body = json.dumps({"instances": [instance, instance]}).encode()
    both = rows(invoke(server, serving, body, "application/json", Accept="application/json"))
    assert both == [pytest.approx(logits), pytest.approx(logits)]

    verbose = invoke(server, serving, photo, Accept="application/json;verbose")
    best = json.loads(verbose["Body"].read())["predictions"][0]
    assert best["label"] == labels[logits.index(max(logits))]


def test_container_errors_are_model_errors_with_their_members(server, serving):
    runtime = server.client("sagemaker-runtime")
    with pytest.raises(runtime.exceptions.ModelError) as caught:
        runtime.invoke_endpoint(EndpointName=serving, Body=b"a,b", ContentType="text/csv")
    response = caught.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["OriginalStatusCode"] == 415
    assert response["OriginalMessage"]
    group = f"/aws/sagemaker/Endpoints/{serving}"
    assert response["LogStreamArn"] == f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:{group}"
    message = response["Error"]["Message"]
    assert message.startswith('Received client error (415) from primary with message "')
    assert message.endswith(
        "See https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=us-east-1"
        f"#logEventViewer:group={group} in account {ACCOUNT} for more information."
    )
    with pytest.raises(runtime.exceptions.ModelError) as caught:
        runtime.invoke_endpoint(EndpointName=serving, Body=b"none", ContentType="image/jpeg")
    assert caught.value.response["OriginalStatusCode"] == 400


def test_large_body_of_a_wrong_type_gets_the_containers_own_answer(server, serving):
    runtime = server.client("sagemaker-runtime")
    for _ in range(3):
        with pytest.raises(runtime.exceptions.ModelError) as caught:
            runtime.invoke_endpoint(
                EndpointName=serving, Body=os.urandom(8 << 20), ContentType="text/csv"
            )
        assert caught.value.response["OriginalStatusCode"] == 415


def test_what_is_not_there_is_a_validation_error(server, serving, photo, name):
    runtime = server.client("sagemaker-runtime")
    picture = {"Body": photo, "ContentType": "image/jpeg"}
    code, message = refused(runtime.invoke_endpoint, EndpointName=name, **picture)
    assert (code, message) == (
        "ValidationError",
        f"Endpoint {name} of account {ACCOUNT} not found.",
    )
    code, message = refused(
        runtime.invoke_endpoint, EndpointName=serving, TargetVariant="None", **picture
    )
    assert code == "ValidationError"
    assert message.startswith("Variant None not found")
    code, message = refused(
        runtime.invoke_endpoint, EndpointName=serving, TargetModel="a.tar.gz", **picture
    )
    assert (code, "target-model" in message) == ("ValidationError", True)
    sagemaker = server.client("sagemaker")
    absent = ("ValidationException", f'Could not find endpoint "{ARN}:endpoint/{name}".')
    assert refused(sagemaker.describe_endpoint, EndpointName=name) == absent
    assert refused(sagemaker.delete_endpoint, EndpointName=name) == absent
    assert refused(
        sagemaker.update_endpoint, EndpointName=name, EndpointConfigName=serving
    ) == absent
    config = f'Could not find endpoint configuration "{ARN}:endpoint-config/{name}".'
    assert refused(
        sagemaker.create_endpoint, EndpointName=name, EndpointConfigName=name
    ) == ("ValidationException", config)
    assert refused(
        sagemaker.create_endpoint, EndpointName=serving.upper(), EndpointConfigName=serving
    ) == (
        "ValidationException",
        f'Cannot create already existing endpoint "{ARN}:endpoint/{serving}".',
    )


def test_endpoint_is_listed_by_status_and_time(server, serving):
    sagemaker = server.client("sagemaker")
    listed = sagemaker.list_endpoints(NameContains=serving, StatusEquals="InService")["Endpoints"]
    assert [one["EndpointName"] for one in listed] == [serving]
    assert listed[0]["EndpointStatus"] == "InService"
    for nothing in (
        {"StatusEquals": "Failed"},
        {"StatusEquals": "OutOfService"},
        {"LastModifiedTimeBefore": listed[0]["LastModifiedTime"]},
        {"CreationTimeAfter": listed[0]["CreationTime"]},
    ):
        assert sagemaker.list_endpoints(NameContains=serving, **nothing)["Endpoints"] == []


def test_replica_writes_to_its_own_log_stream(server, serving):
    logs = server.client("logs")
    group = f"/aws/sagemaker/Endpoints/{serving}"
    streams = logs.describe_log_streams(logGroupName=group)["logStreams"]
    (stream,) = [one["logStreamName"] for one in streams]
    variant_name, instance_id = stream.split("/")
    assert variant_name == "AllTraffic"
    assert instance_id.startswith("i-") and len(instance_id) == 19
    events = wait_until(
        lambda: logs.get_log_events(logGroupName=group, logStreamName=stream)["events"]
    )
    assert events


def test_command_line_client_deploys_invokes_and_deletes(server, name, model_url, photo, tmp_path):
    container = json.dumps({"Image": IMAGE, "ModelDataUrl": model_url})
    server.aws(
        "sagemaker", "create-model", "--model-name", name,
        "--primary-container", container, "--execution-role-arn", ROLE_ARN,
    )
    server.aws(
        "sagemaker", "create-endpoint-config", "--endpoint-config-name", name,
        "--production-variants", json.dumps([variant(name)]),
    )
    made = server.aws_json(
        "sagemaker", "create-endpoint", "--endpoint-name", name, "--endpoint-config-name", name
    )
    assert made["EndpointArn"] == f"{ARN}:endpoint/{name}"
    assert settled(server, name)["EndpointStatus"] == "InService"
    picture, answer = tmp_path / "dog.jpg", tmp_path / "answer.json"
    picture.write_bytes(photo)
    said = server.aws_json(
        "sagemaker-runtime", "invoke-endpoint", "--endpoint-name", name,
        "--content-type", "image/jpeg", "--body", f"fileb://{picture}", answer,
    )
    assert said["InvokedProductionVariant"] == "AllTraffic"
    assert len(json.loads(answer.read_text())) == 1
    listed = server.aws_json("sagemaker", "list-endpoints", "--name-contains", name)
    assert [one["EndpointName"] for one in listed["Endpoints"]] == [name]
    server.aws("sagemaker", "delete-endpoint", "--endpoint-name", name)
    delete_deadline = time.monotonic() + 60
    while server.aws(
        "sagemaker", "describe-endpoint", "--endpoint-name", name, check=False
    ).returncode == 0:
        assert time.monotonic() < delete_deadline
    server.aws("sagemaker", "delete-endpoint-config", "--endpoint-config-name", name)
    server.aws("sagemaker", "delete-model", "--model-name", name)


def test_requests_divide_by_weight_and_follow_a_named_variant(server, name, model_url, photo):
    sagemaker = server.client("sagemaker")
    make_model(server, name, model_url)
    make_config(
        server,
        name,
        variant(name, "Most", InitialVariantWeight=3),
        variant(name, "Few", InitialVariantWeight=1),
    )
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    assert settled(server, name)["EndpointStatus"] == "InService"
    taken = {"Most": 0, "Few": 0}
    for _ in range(80):
        taken[invoke(server, name, photo)["InvokedProductionVariant"]] += 1
    assert 40 <= taken["Most"] < 80, taken
    for _ in range(3):
        answer = invoke(server, name, photo, TargetVariant="Few")
        assert answer["InvokedProductionVariant"] == "Few"
    sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=name,
        DesiredWeightsAndCapacities=[{"VariantName": "Most", "DesiredWeight": 0}],
    )
    assert settled(server, name)["EndpointStatus"] == "InService"
    variants = {invoke(server, name, photo)["InvokedProductionVariant"] for _ in range(10)}
    assert variants == {"Few"}
    delete(server, name)


class Load:
    """Requests from several threads until it is stopped; keeps what went wrong."""

    def __init__(self, server, endpoint: str, photo: bytes, threads: int = 4):
        self.server, self.endpoint, self.photo = server, endpoint, photo
        self.answered, self.errors = 0, []
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.run) for _ in range(threads)]

    def run(self) -> None:
        # No retries: a lost request must not be hidden by the client.
        config = Config(retries={"max_attempts": 1, "mode": "standard"}, read_timeout=70)
        runtime = self.server.client("sagemaker-runtime", config=config)
        while not self.over.is_set():
            try:
                answer = runtime.invoke_endpoint(
                    EndpointName=self.endpoint, Body=self.photo, ContentType="image/jpeg"
                )
                json.loads(answer["Body"].read())
                self.answered += 1
            except Exception as error:  # noqa: BLE001: every kind is a lost request
                self.errors.append(error)

    def __enter__(self) -> "Load":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.over.set()
        for thread in self.threads:
            thread.join()


def test_update_under_load_loses_no_request(server, name, model_url, photo):
    sagemaker = server.client("sagemaker")
    deploy(server, name, model_url)
    make_config(server, f"{name}-next", variant(name))
    with Load(server, name, photo) as load:
        wait_until(lambda: load.answered > 10)
        for config in (f"{name}-next", name):
            sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config)
            updating = sagemaker.describe_endpoint(EndpointName=name)
            assert updating["EndpointStatus"] == "Updating"
            assert updating["PendingDeploymentSummary"]["EndpointConfigName"] == config
            code, message = refused(sagemaker.delete_endpoint, EndpointName=name)
            assert code == "ValidationException"
            assert message == f'Cannot update in-progress endpoint "{ARN}:endpoint/{name}".'
            description = settled(server, name)
            assert description["EndpointStatus"] == "InService", description
            assert description["EndpointConfigName"] == config
            seen = load.answered
            wait_until(lambda: load.answered > seen + 10)
    assert load.errors == [] and load.answered > 30
    delete(server, name)


def test_update_that_cannot_serve_rolls_back_and_says_why(server, client, name, model_url, photo):
    sagemaker, s3 = client("sagemaker"), client("s3")
    deploy(server, name, model_url)
    bucket = model_url.split("/")[2]
    s3.put_object(Bucket=bucket, Key=f"{name}.tar.gz", Body=b"this is no archive")
    make_model(server, f"{name}-broken", f"s3://{bucket}/{name}.tar.gz")
    make_config(server, f"{name}-broken", variant(f"{name}-broken"))
    with Load(server, name, photo, threads=1) as load:
        sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=f"{name}-broken")
        description = settled(server, name, deadline_secs=180)
    assert description["EndpointStatus"] == "InService"
    assert description["EndpointConfigName"] == name
    assert description["FailureReason"]
    assert load.errors == []
    delete(server, name)


def test_endpoint_that_cannot_serve_fails_and_can_be_deleted(server, client, name, model_url):
    sagemaker, s3 = client("sagemaker"), client("s3")
    bucket = model_url.split("/")[2]
    s3.put_object(Bucket=bucket, Key=f"{name}.tar.gz", Body=b"this is no archive")
    make_model(server, name, f"s3://{bucket}/{name}.tar.gz")
    make_config(server, name, variant(name))
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    description = settled(server, name, deadline_secs=180)
    assert description["EndpointStatus"] == "Failed"
    assert description["FailureReason"]
    code, _ = refused(sagemaker.update_endpoint, EndpointName=name, EndpointConfigName=name)
    assert code == "ValidationException"
    delete(server, name)


def test_type_with_a_gpu_runs_on_the_processor_and_says_so(fresh_server, artifact, photo, name):
    server = fresh_server()
    make_model(server, name, put_artifact(server, artifact))
    make_config(server, name, {**variant(name), "InstanceType": "ml.g4dn.16xlarge"})
    sagemaker = server.client("sagemaker")
    sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    (shown,) = sagemaker.describe_endpoint(EndpointName=name)["ProductionVariants"]
    sentence = "The 1 x NVIDIA T4 of ml.g4dn.16xlarge is not offered here"
    assert sentence in shown["VariantStatus"][0]["StatusMessage"]
    assert settled(server, name)["EndpointStatus"] == "InService"
    assert len(rows(invoke(server, name, photo))) == 1
    group = f"/aws/sagemaker/Endpoints/{name}"
    events = server.client("logs").filter_log_events(logGroupName=group)["events"]
    assert any(sentence in event["message"] for event in events)
    delete(server, name)


def test_killed_replica_comes_back_and_its_log_says_why(fresh_server, artifact, photo, name):
    server = fresh_server()
    deploy(server, name, put_artifact(server, artifact))
    (before,) = replicas(server)
    os.kill(before, signal.SIGKILL)

    def recovered():
        now = replicas(server)
        return now and now != [before] and answers(server, name, photo)

    wait_until(recovered, 60)
    logs = server.client("logs")
    group = f"/aws/sagemaker/Endpoints/{name}"
    said = " ".join(
        event["message"] for event in logs.filter_log_events(logGroupName=group)["events"]
    )
    assert "The replica ended" in said, said
    delete(server, name)
    wait_until(lambda: not replicas(server))


def answers(server, endpoint: str, photo: bytes) -> bool:
    try:
        return len(rows(invoke(server, endpoint, photo))) == 1
    except botocore.exceptions.ClientError:
        return False


def test_endpoint_serves_on_through_a_killed_server(fresh_server, artifact, photo, name):
    server = fresh_server()
    deploy(server, name, put_artifact(server, artifact))
    (before,) = replicas(server)
    server.kill9()
    server.start()
    wait_until(lambda: answers(server, name, photo), 30)
    assert replicas(server) == [before], "the replica was adopted, not started again"
    assert settled(server, name)["EndpointStatus"] == "InService"
    delete(server, name)
    wait_until(lambda: not replicas(server))
