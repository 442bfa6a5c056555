"""What is asked of training jobs: validation, listing, tags, and requests as SDKs send them."""

import datetime

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from conftest import ROLE_ARN, training_request, wait_for_training

RULES_IMAGE = "503895931360.dkr.ecr.us-east-1.amazonaws.com/sagemaker-debugger-rules:latest"
BUILT_IN_IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/image-classification:1"


@pytest.fixture
def sagemaker(server):
    """Sends what a test gives it: botocore's own checks are off."""
    return server.client(
        "sagemaker", config=Config(parameter_validation=False, retries={"max_attempts": 1})
    )


def refused(call, **arguments) -> tuple[str, str]:
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    error = raised.value.response["Error"]
    return error["Code"], error["Message"]


def with_member(request: dict, path: str, value) -> dict:
    """A copy with the member at a dotted path replaced; `None` removes it."""
    copy = dict(request)
    first, _, rest = path.partition(".")
    if first.isdigit():
        raise AssertionError("lists are replaced whole")
    if rest:
        copy[first] = with_member(copy.get(first, {}), rest, value)
    elif value is None:
        copy.pop(first, None)
    else:
        copy[first] = value
    return copy


def channel_of(source: dict, **changes) -> list[dict]:
    whole = {"S3DataType": "S3Prefix", "S3Uri": "s3://bucket/x", **source}
    return [{"ChannelName": "train", "DataSource": {"S3DataSource": whole}, **changes}]


BAD = [
    ("TrainingJobName", None, "trainingJobName"),
    ("TrainingJobName", "under_score", "trainingJobName"),
    ("TrainingJobName", "x" * 64, "trainingJobName"),
    ("TrainingJobName", "../../etc", "trainingJobName"),
    ("RoleArn", None, "roleArn"),
    ("RoleArn", "arn:aws:iam::123456789012:user/someone", "roleArn"),
    ("AlgorithmSpecification", None, "algorithmSpecification"),
    ("AlgorithmSpecification.TrainingImage", "busybox", "algorithmSpecification.trainingImage"),
    ("AlgorithmSpecification.TrainingImage", None, "algorithmSpecification.trainingImage"),
    ("AlgorithmSpecification.TrainingInputMode", None, "trainingInputMode"),
    ("AlgorithmSpecification.TrainingInputMode", "Pipe", "trainingInputMode"),
    ("AlgorithmSpecification.TrainingInputMode", "Tape", "[Pipe, File, FastFile]"),
    ("AlgorithmSpecification.AlgorithmName", "mine", "algorithmSpecification.algorithmName"),
    ("AlgorithmSpecification.ContainerEntrypoint", ["sh"], "containerEntrypoint"),
    ("AlgorithmSpecification.ContainerArguments", ["-c"], "containerArguments"),
    ("AlgorithmSpecification.MetricDefinitions", [{"Name": "x", "Regex": "("}],
     "metricDefinitions.1.member.regex"),
    ("AlgorithmSpecification.MetricDefinitions", [{"Name": "x", "Regex": "x"}] * 41,
     "metricDefinitions"),
    ("OutputDataConfig", None, "outputDataConfig"),
    ("OutputDataConfig.S3OutputPath", "file:///etc", "outputDataConfig.s3OutputPath"),
    ("OutputDataConfig.S3OutputPath", "https://bucket/key", "outputDataConfig.s3OutputPath"),
    ("OutputDataConfig.CompressionType", "NONE", "outputDataConfig.compressionType"),
    ("OutputDataConfig.KmsKeyId", "no spaces", "outputDataConfig.kmsKeyId"),
    ("ResourceConfig", None, "resourceConfig"),
    ("ResourceConfig.InstanceType", "ml.huge", "resourceConfig.instanceType"),
    ("ResourceConfig.InstanceCount", 0, "resourceConfig.instanceCount"),
    ("ResourceConfig.InstanceCount", 2, "resourceConfig.instanceCount"),
    ("ResourceConfig.KeepAlivePeriodInSeconds", 60, "keepAlivePeriodInSeconds"),
    ("ResourceConfig.InstanceGroups", [{}], "resourceConfig.instanceGroups"),
    ("ResourceConfig.VolumeSizeInGB", 0, "resourceConfig.volumeSizeInGB"),
    ("StoppingCondition.MaxRuntimeInSeconds", 0, "maxRuntimeInSeconds"),
    ("StoppingCondition.MaxRuntimeInSeconds", 2419201, "maxRuntimeInSeconds"),
    ("StoppingCondition.MaxWaitTimeInSeconds", 7200, "maxWaitTimeInSeconds"),
    ("EnableManagedSpotTraining", True, "maxWaitTimeInSeconds"),
    ("InputDataConfig", [], "inputDataConfig"),
    ("InputDataConfig", channel_of({}) * 2, "inputDataConfig.2.member.channelName"),
    ("InputDataConfig", channel_of({}, ChannelName=".."), "1.member.channelName"),
    ("InputDataConfig", channel_of({}, ChannelName="a/b"), "1.member.channelName"),
    ("InputDataConfig", channel_of({}, InputMode="FastFile"), "1.member.inputMode"),
    ("InputDataConfig", channel_of({}, RecordWrapperType="RecordIO"), "recordWrapperType"),
    ("InputDataConfig", channel_of({}, ShuffleConfig={"Seed": 1}), "shuffleConfig"),
    ("InputDataConfig", channel_of({"S3DataType": "AugmentedManifestFile"}), "s3DataType"),
    ("InputDataConfig", channel_of({"S3DataDistributionType": "ShardedByS3Key"}),
     "s3DataDistributionType"),
    ("InputDataConfig", channel_of({"S3Uri": "bucket/x"}), "s3Uri"),
    ("InputDataConfig", [{"ChannelName": "x", "DataSource": {"FileSystemDataSource": {}}}],
     "fileSystemDataSource"),
    ("HyperParameters", {f"k{n}": "" for n in range(101)}, "hyperParameters"),
    ("HyperParameters", {"k": "x" * 2501}, "hyperParameters"),
    ("Environment", {"1BAD": "x"}, "environment"),
    ("CheckpointConfig", {"S3Uri": "s3://b/c", "LocalPath": "/etc"}, "checkpointConfig.localPath"),
    ("CheckpointConfig", {"LocalPath": "/opt/ml/checkpoints"}, "checkpointConfig.s3Uri"),
    ("VpcConfig", {"Subnets": ["subnet-1"]}, "vpcConfig.securityGroupIds"),
    ("Tags", [{"Key": "aws:mine", "Value": ""}], "tags.1.member.key"),
    ("Tags", [{"Key": "twice", "Value": ""}] * 2, "tags.2.member.key"),
    ("Tags", [{"Key": "novalue"}], "tags.1.member.value"),
    ("RetryStrategy", {"MaximumRetryAttempts": 2}, "retryStrategy"),
    ("ExperimentConfig", {"TrialName": "x"}, "experimentConfig"),
    ("TensorBoardOutputConfig", {"S3OutputPath": "s3://b"}, "tensorBoardOutputConfig"),
    ("RemoteDebugConfig", {"EnableRemoteDebug": True}, "enableRemoteDebug"),
    ("InfraCheckConfig", {"EnableInfraCheck": True}, "enableInfraCheck"),
    ("SessionChainingConfig", {"EnableSessionTagChaining": True}, "enableSessionTagChaining"),
    ("DebugHookConfig", {"LocalPath": "/x"}, "debugHookConfig.s3OutputPath"),
    ("DebugRuleConfigurations", [{"RuleConfigurationName": "x"}], "ruleEvaluatorImage"),
    ("MlflowConfig", {}, "mlflowConfig"),
]


@pytest.mark.parametrize("path, value, member", BAD, ids=[f"{p}-{m}" for p, _, m in BAD])
def test_bad_member_is_refused_by_name(sagemaker, name, path, value, member):
    request = with_member(training_request(name, "bucket"), path, value)
    code, message = refused(sagemaker.create_training_job, **request)
    assert code == "ValidationException"
    assert "validation error" in message and member in message
    if path != "TrainingJobName":
        unknown = refused(sagemaker.describe_training_job, TrainingJobName=name)
        assert unknown == ("ValidationException", "Requested resource not found.")


def test_unknown_member_and_wrong_type_are_refused_by_name(sagemaker, client, name):
    request = training_request(name, "bucket", HyperParameters={"epochs": 5})
    code, message = refused(sagemaker.create_training_job, **request)
    assert code == "SerializationException" and "HyperParameters" in message


def test_role_of_another_account_is_refused(sagemaker, name):
    request = training_request(name, "bucket", RoleArn=ROLE_ARN.replace("123456789012", "210987654321"))
    assert refused(sagemaker.create_training_job, **request) == (
        "ValidationException", "Cross-account pass role is not allowed.",
    )


def test_all_violations_are_told_at_once(sagemaker, name):
    request = training_request("a_b", "bucket", RoleArn="nobody")
    _, message = refused(sagemaker.create_training_job, **request)
    assert message.startswith("3 validation errors detected: ")
    assert "'a_b' at 'trainingJobName'" in message and "'nobody' at 'roleArn'" in message


def test_a_name_is_used_once_whatever_its_case(sagemaker, name):
    made = sagemaker.create_training_job(**training_request(name, "absent-bucket"))
    arn = f"arn:aws:sagemaker:us-east-1:123456789012:training-job/{name}"
    assert made["TrainingJobArn"] == arn
    for again in (name, name.upper()):
        assert refused(
            sagemaker.create_training_job, **training_request(again, "absent-bucket")
        ) == (
            "ResourceInUse",
            "Training job names must be unique within an AWS account and region, and a training "
            f"job with this name already exists ({arn})",
        )


def test_unknown_job_is_not_found(sagemaker, name):
    for call in (sagemaker.describe_training_job, sagemaker.stop_training_job):
        assert refused(call, TrainingJobName=name) == (
            "ValidationException", "Requested resource not found.",
        )


def test_jobs_are_listed_filtered_sorted_and_paged(sagemaker, name):
    for suffix in ("b", "a", "c"):
        sagemaker.create_training_job(**training_request(f"{name}-{suffix}", "absent-bucket"))
    for suffix in ("b", "a", "c"):
        wait_for_training(sagemaker, f"{name}-{suffix}")

    def listed(**arguments):
        pages = sagemaker.get_paginator("list_training_jobs").paginate(
            NameContains=name, **arguments
        )
        return [
            [job["TrainingJobName"].removeprefix(f"{name}-") for job in page["TrainingJobSummaries"]]
            for page in pages
        ]

    assert listed() == [["b", "a", "c"]]
    assert listed(SortBy="Name") == [["a", "b", "c"]]
    assert listed(SortBy="Name", SortOrder="Descending") == [["c", "b", "a"]]
    assert listed(SortBy="CreationTime", PaginationConfig={"PageSize": 2}) == [["b", "a"], ["c"]]
    assert listed(SortBy="Status", PaginationConfig={"PageSize": 1}) == [["a"], ["b"], ["c"]]
    assert listed(StatusEquals="Failed", SortBy="Name") == [["a", "b", "c"]]
    assert listed(StatusEquals="Completed") == [[]]
    created = sagemaker.describe_training_job(TrainingJobName=f"{name}-a")["CreationTime"]
    assert listed(CreationTimeAfter=created) == [["c"]]
    assert listed(CreationTimeBefore=created) == [["b"]]
    hour = datetime.timedelta(hours=1)
    assert listed(LastModifiedTimeAfter=created + hour) == [[]]
    assert listed(LastModifiedTimeBefore=created + hour) == [["b", "a", "c"]]
    summary = sagemaker.list_training_jobs(NameContains=f"{name}-a")["TrainingJobSummaries"][0]
    assert summary["TrainingJobStatus"] == "Failed" and "TrainingEndTime" in summary


def test_bad_listing_is_refused(sagemaker, name):
    for suffix in ("a", "b"):
        sagemaker.create_training_job(**training_request(f"{name}-{suffix}", "absent-bucket"))
    token = sagemaker.list_training_jobs(NameContains=name, MaxResults=1)["NextToken"]
    for arguments, member in [
        ({"MaxResults": 0}, "maxResults"),
        ({"MaxResults": 101}, "maxResults"),
        ({"SortBy": "Colour"}, "sortBy"),
        ({"StatusEquals": "Gone"}, "statusEquals"),
        ({"NameContains": "a b"}, "nameContains"),
        ({"WarmPoolStatusEquals": "InUse"}, "warmPoolStatusEquals"),
        ({"NextToken": "made-up"}, "NextToken"),
        ({"NextToken": token}, "NextToken"),
        ({"NextToken": token[:-2], "NameContains": name}, "NextToken"),
    ]:
        code, message = refused(sagemaker.list_training_jobs, **arguments)
        assert code == "ValidationException" and member in message, arguments


def test_tags_are_added_replaced_listed_and_deleted(sagemaker, name):
    tags = [{"Key": "team", "Value": "dogs"}, {"Key": "empty", "Value": ""}]
    arn = sagemaker.create_training_job(
        **training_request(name, "absent-bucket", Tags=tags)
    )["TrainingJobArn"]
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == tags
    added = sagemaker.add_tags(ResourceArn=arn, Tags=[{"Key": "team", "Value": "cats"}])
    assert added["Tags"][0] == {"Key": "team", "Value": "cats"}
    sagemaker.delete_tags(ResourceArn=arn, TagKeys=["team", "never-there"])
    assert sagemaker.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "empty", "Value": ""}]
    more = [{"Key": f"k{n}", "Value": str(n)} for n in range(49)]
    sagemaker.add_tags(ResourceArn=arn, Tags=more)
    assert len(sagemaker.list_tags(ResourceArn=arn, MaxResults=50)["Tags"]) == 50
    code, _ = refused(sagemaker.add_tags, ResourceArn=arn, Tags=[{"Key": "one-more", "Value": ""}])
    assert code == "ResourceLimitExceeded"
    assert len(sagemaker.list_tags(ResourceArn=arn)["Tags"]) == 50


def test_bad_tags_are_refused(sagemaker, name):
    prefix = "arn:aws:sagemaker:us-east-1:123456789012"
    arn = sagemaker.create_training_job(**training_request(name, "absent-bucket"))["TrainingJobArn"]
    for call, arguments, word in [
        (sagemaker.add_tags, {"ResourceArn": arn}, "tags"),
        (sagemaker.add_tags, {"ResourceArn": arn, "Tags": [{"Key": "Aws:x", "Value": ""}]}, "aws:"),
        (sagemaker.add_tags, {"ResourceArn": arn, "Tags": [{"Key": "a*", "Value": ""}]}, "pattern"),
        (sagemaker.add_tags, {"ResourceArn": "arn:aws:s3:::b", "Tags": []}, "resourceArn"),
        (sagemaker.list_tags, {"ResourceArn": arn, "MaxResults": 1}, "maxResults"),
        (sagemaker.list_tags, {"ResourceArn": arn, "NextToken": "x"}, "NextToken"),
        (sagemaker.list_tags, {"ResourceArn": f"{prefix}:training-job/no-{name}"}, "not found"),
        (sagemaker.list_tags, {"ResourceArn": f"{prefix}:model/no-{name}"}, "Could not find"),
        (sagemaker.list_tags, {"ResourceArn": f"{prefix}:app/x"}, "Could not find"),
        (sagemaker.delete_tags, {"ResourceArn": arn, "TagKeys": []}, "tagKeys"),
    ]:
        code, message = refused(call, **arguments)
        assert code == "ValidationException" and word in message, (arguments, message)


def rule(rule_name: str, **parameters: str) -> dict:
    return {
        "RuleConfigurationName": rule_name,
        "RuleEvaluatorImage": RULES_IMAGE,
        "VolumeSizeInGB": 0,
        "RuleParameters": {"rule_to_invoke": rule_name, **parameters},
    }


def test_request_of_sdk_v2_with_debugger_is_taken_and_echoed(sagemaker, data_bucket, name):
    rules = [
        rule("VanishingGradient"), rule("Overfit"), rule("Overtraining"), rule("PoorWeightInit"),
    ]
    profiler_rules = [rule("ProfilerReport")]
    hook = {
        "S3OutputPath": f"s3://{data_bucket}/debug",
        "HookParameters": {"train.save_interval": "100", "eval.save_interval": "10"},
        "CollectionConfigurations": [
            {"CollectionName": "gradients", "CollectionParameters": {"save_interval": "500"}},
            {"CollectionName": "losses"},
        ],
    }
    profiler = {
        "S3OutputPath": f"s3://{data_bucket}/profile",
        "ProfilingIntervalInMilliseconds": 500,
        "ProfilingParameters": {
            "DataloaderProfilingConfig": '{"StartStep": 0, "NumSteps": 10, "MetricsRegex": ".*", }',
            "FileOpenFailThreshold": "50",
        },
    }
    request = training_request(
        name,
        data_bucket,
        AlgorithmSpecification={
            "TrainingImage": BUILT_IN_IMAGE,
            "TrainingInputMode": "File",
            "EnableSageMakerMetricsTimeSeries": True,
        },
        HyperParameters={"epochs": "2", "mini_batch_size": "32", "learning_rate": "0.015"},
        DebugHookConfig=hook,
        DebugRuleConfigurations=rules,
        ProfilerConfig=profiler,
        ProfilerRuleConfigurations=profiler_rules,
        EnableInterContainerTrafficEncryption=False,
        EnableNetworkIsolation=False,
        EnableManagedSpotTraining=False,
        VpcConfig={"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1", "subnet-2"]},
        Environment={},
        ResourceConfig={
            "InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 30,
            "VolumeKmsKeyId": "alias/disk",
        },
    )
    sagemaker.create_training_job(**request)
    described = wait_for_training(sagemaker, name)
    assert described["TrainingJobStatus"] == "Completed", described
    for member in (
        "HyperParameters", "DebugHookConfig", "DebugRuleConfigurations", "ProfilerConfig",
        "ProfilerRuleConfigurations", "VpcConfig", "ResourceConfig", "RoleArn",
        "InputDataConfig", "StoppingCondition",
    ):
        assert described[member] == request[member], member
    assert described["AlgorithmSpecification"]["EnableSageMakerMetricsTimeSeries"] is True
    for member, expected in (
        ("DebugRuleEvaluationStatuses", rules),
        ("ProfilerRuleEvaluationStatuses", profiler_rules),
    ):
        assert [
            (it["RuleConfigurationName"], it["RuleEvaluationStatus"], it["StatusDetails"])
            for it in described[member]
        ] == [
            (it["RuleConfigurationName"], "Error", "not evaluated by this version")
            for it in expected
        ]
    assert "Environment" not in described


def test_spot_job_keeps_its_settings(sagemaker, data_bucket, name):
    stopping = {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 1200}
    sagemaker.create_training_job(
        **training_request(
            name, data_bucket, EnableManagedSpotTraining=True, StoppingCondition=stopping,
            HyperParameters={"epochs": "1"},
        )
    )
    described = wait_for_training(sagemaker, name)
    assert described["TrainingJobStatus"] == "Completed"
    assert described["EnableManagedSpotTraining"] is True
    assert described["StoppingCondition"] == stopping
