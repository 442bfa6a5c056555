"""Training jobs that really run: their course, their output, and how they end."""

import gzip
import io
import json
import re
import tarfile
import time

import pytest
from botocore.exceptions import ClientError
from conftest import training_request, wait_for_training, wait_until

LONG = {"epochs": "10000"}


@pytest.fixture
def sagemaker(client):
    return client("sagemaker")


@pytest.fixture
def s3(client):
    return client("s3")


def statuses(description) -> list[str]:
    return [at["Status"] for at in description["SecondaryStatusTransitions"]]


def names_in_artifact(s3, description) -> set[str]:
    uri = description["ModelArtifacts"]["S3ModelArtifacts"]
    bucket, key = uri.removeprefix("s3://").split("/", 1)
    body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        return {name.removeprefix("./") for name in archive.getnames()}


def run(sagemaker, job, bucket, prefix="", **changes) -> dict:
    sagemaker.create_training_job(**training_request(job, bucket, prefix, **changes))
    return wait_for_training(sagemaker, job)


def wait_for_secondary(sagemaker, job, status) -> dict:
    def reached():
        description = sagemaker.describe_training_job(TrainingJobName=job)
        assert description["TrainingJobStatus"] == "InProgress", description
        return description if description["SecondaryStatus"] == status else None

    return wait_until(reached, deadline_secs=120)


def channel(uri, kind="S3Prefix", name="training") -> dict:
    source = {"S3DataType": kind, "S3Uri": uri}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


def test_completed_job_tells_its_course(trained):
    assert trained["SecondaryStatus"] == "Completed"
    assert statuses(trained) == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    course = trained["SecondaryStatusTransitions"]
    assert all("EndTime" in at and at["StatusMessage"] for at in course)
    assert all(one["EndTime"] == next_one["StartTime"] for one, next_one in zip(course, course[1:]))
    took = (trained["TrainingEndTime"] - trained["TrainingStartTime"]).total_seconds()
    assert trained["TrainingTimeInSeconds"] == trained["BillableTimeInSeconds"]
    assert took <= trained["TrainingTimeInSeconds"] <= took + 1
    assert "FailureReason" not in trained


def test_completed_job_leaves_its_model_and_output(trained, s3):
    assert {"model.onnx", "labels.json", "metrics.json"} <= names_in_artifact(s3, trained)
    uri = trained["ModelArtifacts"]["S3ModelArtifacts"]
    assert uri.endswith(f"/models/{trained['TrainingJobName']}/output/model.tar.gz")
    bucket, key = uri.removeprefix("s3://").split("/", 1)
    s3.head_object(Bucket=bucket, Key=key.replace("model.tar.gz", "output.tar.gz"))


def test_description_holds_what_sdks_read_without_asking(trained):
    assert trained["OutputDataConfig"]["KmsKeyId"] == ""
    assert trained["OutputDataConfig"]["CompressionType"] == "GZIP"
    assert trained["AlgorithmSpecification"]["TrainingInputMode"] == "File"
    assert trained["EnableManagedSpotTraining"] is False
    assert trained["HyperParameters"] == {"epochs": "5"}
    assert not {"VpcConfig", "Environment", "CheckpointConfig", "ProfilerConfig"} & set(trained)


def test_native_metrics_are_there_without_definitions(trained):
    metrics = {it["MetricName"]: it["Value"] for it in trained["FinalMetricDataList"]}
    assert {"train:accuracy", "train:loss", "validation:accuracy", "validation:loss"} <= set(metrics)
    assert 0 <= metrics["validation:accuracy"] <= 1
    shown = [it["Name"] for it in trained["AlgorithmSpecification"]["MetricDefinitions"]]
    assert "train:accuracy" in shown


def test_job_logs_to_a_stream_of_its_own(trained, client):
    logs = client("logs")
    job = trained["TrainingJobName"]
    found = logs.describe_log_streams(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{job}/"
    )["logStreams"]
    assert [bool(re.fullmatch(rf"{job}/algo-1-\d+", it["logStreamName"])) for it in found] == [True]
    events = logs.get_log_events(
        logGroupName="/aws/sagemaker/TrainingJobs",
        logStreamName=found[0]["logStreamName"],
        startFromHead=True,
    )["events"]
    assert any("train:accuracy=" in event["message"] for event in events)


def test_metrics_are_found_by_the_jobs_own_patterns(sagemaker, data_bucket, name):
    definitions = [
        {"Name": "Epoch", "Regex": r"Epoch (\d+)/"},
        {"Name": "Never", "Regex": "no such line ([0-9]+)"},
    ]
    algorithm = training_request(name, data_bucket)["AlgorithmSpecification"]
    description = run(
        sagemaker, name, data_bucket, HyperParameters={"epochs": "3"},
        AlgorithmSpecification={**algorithm, "MetricDefinitions": definitions},
    )
    found = {it["MetricName"]: it["Value"] for it in description["FinalMetricDataList"]}
    assert found == {"Epoch": 3.0}
    assert description["AlgorithmSpecification"]["MetricDefinitions"] == definitions


def test_stopped_job_uploads_what_it_has(sagemaker, s3, data_bucket, name):
    sagemaker.create_training_job(
        **training_request(name, data_bucket, HyperParameters=LONG)
    )
    wait_for_secondary(sagemaker, name, "Training")
    wait_until(
        lambda: sagemaker.describe_training_job(TrainingJobName=name).get("FinalMetricDataList"),
        deadline_secs=120,
    )
    sagemaker.stop_training_job(TrainingJobName=name)
    stopping = sagemaker.describe_training_job(TrainingJobName=name)
    assert stopping["TrainingJobStatus"] in ("Stopping", "Stopped")
    description = wait_for_training(sagemaker, name)
    assert description["TrainingJobStatus"] == "Stopped"
    assert description["SecondaryStatus"] == "Stopped"
    assert statuses(description)[-3:] == ["Stopping", "Uploading", "Stopped"]
    assert "model.onnx" in names_in_artifact(s3, description)
    with pytest.raises(ClientError) as refused:
        sagemaker.stop_training_job(TrainingJobName=name)
    assert refused.value.response["Error"] == {
        "Code": "ValidationException",
        "Message": "The request was rejected because the training job is in status Stopped.",
    }


def test_job_is_stopped_at_its_maximum_runtime(sagemaker, s3, data_bucket, name):
    description = run(
        sagemaker, name, data_bucket, HyperParameters=LONG,
        StoppingCondition={"MaxRuntimeInSeconds": 6},
    )
    assert description["TrainingJobStatus"] == "Stopped"
    assert description["SecondaryStatus"] == "MaxRuntimeExceeded"
    assert description["SecondaryStatusTransitions"][-1]["StatusMessage"] == (
        "Training job runtime exceeded MaxRuntimeInSeconds provided"
    )
    s3.head_object(
        Bucket=data_bucket, Key=f"models/{name}/output/model.tar.gz"
    )


def test_workloads_own_words_become_the_failure_reason(sagemaker, data_bucket, name):
    description = run(sagemaker, name, data_bucket, HyperParameters={"epochs": "many"})
    assert description["TrainingJobStatus"] == "Failed"
    assert statuses(description)[-1] == "Failed"
    assert description["FailureReason"].startswith("AlgorithmError: ")
    assert "epochs" in description["FailureReason"]


def test_missing_prefix_fails_by_name(sagemaker, data_bucket, name):
    description = run(sagemaker, name, data_bucket, prefix="no/such/prefix/")
    assert description["TrainingJobStatus"] == "Failed"
    assert f's3://{data_bucket}/no/such/prefix/' in description["FailureReason"]
    assert description["FailureReason"].startswith("ClientError: ")


def test_empty_channel_fails_by_name(sagemaker, data_bucket, bucket, name):
    channels = [
        channel(f"s3://{data_bucket}/train/", name="train"),
        channel(f"s3://{bucket}/", name="validation"),
    ]
    description = run(sagemaker, name, data_bucket, InputDataConfig=channels)
    assert description["TrainingJobStatus"] == "Failed"
    assert '"validation"' in description["FailureReason"]


def test_absent_bucket_fails_by_name(sagemaker, data_bucket, name):
    channels = [channel(f"s3://absent-{name}/train/")]
    description = run(sagemaker, name, data_bucket, InputDataConfig=channels)
    assert description["TrainingJobStatus"] == "Failed"
    assert f"absent-{name}" in description["FailureReason"]


def test_output_bucket_that_is_absent_fails_by_name(sagemaker, data_bucket, name):
    description = run(
        sagemaker, name, data_bucket, HyperParameters={"epochs": "1"},
        OutputDataConfig={"S3OutputPath": f"s3://absent-{name}/models"},
    )
    assert description["TrainingJobStatus"] == "Failed"
    assert f"absent-{name}" in description["FailureReason"]


def test_manifest_names_the_files_of_a_channel(sagemaker, s3, data_bucket, bucket, name):
    keys = [it["Key"] for it in s3.list_objects_v2(Bucket=data_bucket)["Contents"]]
    pictures = [key for key in keys if key.endswith(".jpg")]
    manifest = [{"prefix": f"s3://{data_bucket}/"}, *pictures]
    s3.put_object(Bucket=bucket, Key="lists/all.manifest", Body=json.dumps(manifest))
    description = run(
        sagemaker, name, data_bucket, HyperParameters={"epochs": "2"},
        InputDataConfig=[channel(f"s3://{bucket}/lists/all.manifest", "ManifestFile")],
    )
    assert description["TrainingJobStatus"] == "Completed", description
    s3.put_object(Bucket=bucket, Key="lists/torn.manifest", Body='[{"prefix": "s3://')
    torn = run(
        sagemaker, f"{name}-torn", data_bucket,
        InputDataConfig=[channel(f"s3://{bucket}/lists/torn.manifest", "ManifestFile")],
    )
    assert torn["TrainingJobStatus"] == "Failed"
    assert "lists/torn.manifest" in torn["FailureReason"]


def test_channels_train_and_validation_checkpoints_and_isolation(
    sagemaker, s3, data_bucket, bucket, name
):
    s3.put_object(Bucket=bucket, Key="saves/earlier.txt", Body=b"kept")
    checkpoints = {"S3Uri": f"s3://{bucket}/saves/", "LocalPath": "/opt/ml/checkpoints"}
    description = run(
        sagemaker, name, data_bucket, HyperParameters={"epochs": "2"},
        InputDataConfig=[
            channel(f"s3://{data_bucket}/train/", name="train"),
            channel(f"s3://{data_bucket}/valid/", name="validation"),
        ],
        CheckpointConfig=checkpoints,
        EnableNetworkIsolation=True,
        Environment={"GREETING": "hello there"},
    )
    assert description["TrainingJobStatus"] == "Completed", description
    assert description["CheckpointConfig"] == checkpoints
    assert description["EnableNetworkIsolation"] is True
    assert description["Environment"] == {"GREETING": "hello there"}
    assert s3.get_object(Bucket=bucket, Key="saves/earlier.txt")["Body"].read() == b"kept"


@pytest.fixture
def whole_machine(fresh_server, pictures):
    """A server that runs nothing else, with the pictures in the bucket `pictures`."""
    server = fresh_server()
    s3 = server.client("s3")
    s3.create_bucket(Bucket="pictures")
    for path in sorted(pictures.rglob("*.jpg")):
        key = str(path.relative_to(pictures))
        s3.put_object(Bucket="pictures", Key=key, Body=path.read_bytes())
    return server


def test_type_larger_than_this_machine_says_what_it_gets(whole_machine, name):
    description = run(
        whole_machine.client("sagemaker"), name, "pictures", HyperParameters={"epochs": "1"},
        ResourceConfig={
            "InstanceCount": 1, "InstanceType": "ml.p3.16xlarge", "VolumeSizeInGB": 1,
        },
    )
    assert description["TrainingJobStatus"] == "Completed", description
    said = description["SecondaryStatusTransitions"][0]["StatusMessage"]
    assert "ml.p3.16xlarge" in said and "runs on the CPU" in said
    events = whole_machine.client("logs").filter_log_events(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix=f"{name}/"
    )["events"]
    assert "runs on the CPU" in events[0]["message"]


def test_job_under_way_survives_the_server(whole_machine, name):
    server = whole_machine
    sagemaker = server.client("sagemaker")
    sagemaker.create_training_job(
        **training_request(name, "pictures", HyperParameters={"epochs": "200"})
    )
    wait_for_secondary(sagemaker, name, "Training")
    server.kill9()
    time.sleep(0.5)
    server.start()
    description = wait_for_training(server.client("sagemaker"), name)
    assert description["TrainingJobStatus"] == "Completed", description
    assert statuses(description) == [
        "Starting", "Downloading", "Training", "Uploading", "Completed",
    ]


def test_artifacts_name_the_key_and_values_in_quotes_are_read(sagemaker, s3, data_bucket, name):
    description = run(
        sagemaker, name, data_bucket,
        HyperParameters={"epochs": '"1"', "learning_rate": '"0.015"', "mini_batch_size": "32"},
        OutputDataConfig={"S3OutputPath": f"s3://{data_bucket}/keyed/", "KmsKeyId": "alias/mine"},
    )
    assert description["TrainingJobStatus"] == "Completed", description
    assert description["OutputDataConfig"]["KmsKeyId"] == "alias/mine"
    head = s3.head_object(Bucket=data_bucket, Key=f"keyed/{name}/output/model.tar.gz")
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", "alias/mine")


def test_channels_may_be_compressed(sagemaker, s3, data_bucket, bucket, name):
    for item in s3.list_objects_v2(Bucket=data_bucket)["Contents"]:
        if item["Key"].endswith(".jpg"):
            body = s3.get_object(Bucket=data_bucket, Key=item["Key"])["Body"].read()
            s3.put_object(Bucket=bucket, Key=item["Key"], Body=gzip.compress(body))
    compressed = {**channel(f"s3://{bucket}/"), "CompressionType": "Gzip"}
    description = run(
        sagemaker, name, data_bucket, HyperParameters={"epochs": "1"},
        InputDataConfig=[compressed],
    )
    assert description["TrainingJobStatus"] == "Completed", description
    assert description["InputDataConfig"] == [compressed]


def test_jobs_beyond_the_machines_memory_wait_their_turn(whole_machine, name):
    sagemaker = whole_machine.client("sagemaker")
    jobs = [f"{name}-{number}" for number in range(3)]
    largest = {"InstanceCount": 1, "InstanceType": "ml.m5.24xlarge", "VolumeSizeInGB": 1}
    for job in jobs:
        sagemaker.create_training_job(
            **training_request(
                job, "pictures", ResourceConfig=largest, HyperParameters={"epochs": "1"}
            )
        )

    def one_waits():
        described = [sagemaker.describe_training_job(TrainingJobName=job) for job in jobs]
        said = [it["SecondaryStatusTransitions"][0]["StatusMessage"] for it in described]
        return any("Insufficient capacity" in message for message in said)

    wait_until(one_waits)
    ended = [wait_for_training(sagemaker, job) for job in jobs]
    assert [it["TrainingJobStatus"] for it in ended] == ["Completed"] * 3
    spans = sorted((it["TrainingStartTime"], it["TrainingEndTime"]) for it in ended)
    assert all(one[1] <= other[0] for one, other in zip(spans, spans[1:]))
