"""Training jobs and tags through the AWS CLI."""

import json

from conftest import training_request, wait_until


def test_cli_creates_waits_lists_tags_and_stops(aws, server, data_bucket, name):
    request = training_request(name, data_bucket, HyperParameters={"epochs": "1"})
    made = server.aws_json(
        "sagemaker", "create-training-job", "--cli-input-json", json.dumps(request)
    )
    arn = made["TrainingJobArn"]
    aws("sagemaker", "add-tags", "--resource-arn", arn, "--tags", "Key=team,Value=dogs")
    tags = server.aws_json("sagemaker", "list-tags", "--resource-arn", arn)
    assert tags == {"Tags": [{"Key": "team", "Value": "dogs"}]}
    aws("sagemaker", "delete-tags", "--resource-arn", arn, "--tag-keys", "team")
    assert server.aws_json("sagemaker", "list-tags", "--resource-arn", arn) == {"Tags": []}

    def status() -> str:
        job = server.aws_json("sagemaker", "describe-training-job", "--training-job-name", name)
        return job["TrainingJobStatus"]

    wait_until(lambda: status() == "Completed", deadline_secs=180, every_secs=1)
    listed = server.aws_json(
        "sagemaker", "list-training-jobs", "--name-contains", name, "--status-equals", "Completed"
    )
    assert [job["TrainingJobName"] for job in listed["TrainingJobSummaries"]] == [name]
    stopped = aws("sagemaker", "stop-training-job", "--training-job-name", name, check=False)
    assert stopped.returncode != 0
    assert "the training job is in status Completed" in stopped.stderr
