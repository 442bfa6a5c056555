"""CloudWatch Logs: groups, streams, events and their paging."""

import time

import pytest
from botocore.exceptions import ClientError


@pytest.fixture
def logs(client):
    return client("logs")


@pytest.fixture
def group(logs, name):
    logs.create_log_group(logGroupName=name)
    return name


@pytest.fixture
def stream(logs, group):
    logs.create_log_stream(logGroupName=group, logStreamName="job/algo-1-1")
    return "job/algo-1-1"


def refused(call, **arguments) -> tuple[str, str]:
    with pytest.raises(ClientError) as raised:
        call(**arguments)
    error = raised.value.response["Error"]
    return error["Code"], error["Message"]


def now_ms() -> int:
    return int(time.time() * 1000)


def put(logs, group, stream, *messages, at=None):
    at = at or now_ms()
    events = [{"timestamp": at + i, "message": m} for i, m in enumerate(messages)]
    return logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


def messages(page) -> list[str]:
    return [event["message"] for event in page["events"]]


def test_groups_are_made_described_and_deleted(logs, name):
    for suffix in "abc":
        logs.create_log_group(logGroupName=f"{name}/{suffix}")
    logs.put_retention_policy(logGroupName=f"{name}/b", retentionInDays=7)
    found = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    assert [group["logGroupName"] for group in found] == [f"{name}/{s}" for s in "abc"]
    assert [group.get("retentionInDays") for group in found] == [None, 7, None]
    assert found[0]["arn"] == f"arn:aws:logs:us-east-1:123456789012:log-group:{name}/a:*"
    assert abs(found[0]["creationTime"] - now_ms()) < 60_000
    pages = logs.get_paginator("describe_log_groups").paginate(
        logGroupNamePrefix=name, PaginationConfig={"PageSize": 2}
    )
    assert [len(page["logGroups"]) for page in pages] == [2, 1]
    logs.delete_retention_policy(logGroupName=f"{name}/b")
    logs.delete_log_group(logGroupName=f"{name}/a")
    found = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    assert [group.get("retentionInDays") for group in found] == [None, None]


def test_what_is_absent_or_there_already_is_named(logs, group, stream):
    assert refused(logs.create_log_group, logGroupName=group) == (
        "ResourceAlreadyExistsException",
        "The specified log group already exists",
    )
    assert refused(logs.create_log_stream, logGroupName=group, logStreamName=stream) == (
        "ResourceAlreadyExistsException",
        "The specified log stream already exists",
    )
    no_group = ("ResourceNotFoundException", "The specified log group does not exist.")
    absent = {"logGroupName": "absent"}
    assert refused(logs.delete_log_group, **absent) == no_group
    assert refused(logs.describe_log_streams, **absent) == no_group
    assert refused(logs.filter_log_events, **absent) == no_group
    assert refused(logs.put_retention_policy, retentionInDays=1, **absent) == no_group
    assert refused(logs.get_log_events, logStreamName="s", **absent) == no_group
    assert refused(logs.get_log_events, logGroupName=group, logStreamName="absent") == (
        "ResourceNotFoundException",
        "The specified log stream does not exist.",
    )
    with pytest.raises(logs.exceptions.ResourceNotFoundException):
        put(logs, group, "absent", "x")


def test_names_and_numbers_outside_the_model_are_refused_by_name(logs, group, stream):
    code, message = refused(logs.create_log_group, logGroupName="has space")
    assert code == "ValidationException" and "'logGroupName'" in message
    code, message = refused(logs.create_log_stream, logGroupName=group, logStreamName="a:b")
    assert code == "ValidationException" and "'logStreamName'" in message
    code, message = refused(logs.put_retention_policy, logGroupName=group, retentionInDays=2)
    assert code == "ValidationException" and "'retentionInDays'" in message
    code, message = refused(logs.describe_log_streams, logGroupName=group, limit=51)
    assert code == "ValidationException" and "'limit'" in message
    code, _ = refused(
        logs.get_log_events, logGroupName=group, logStreamName=stream, nextToken="nonsense"
    )
    assert code == "InvalidParameterException"


def test_events_are_read_on_from_the_token(logs, group, stream):
    """As the SageMaker SDK v3 does: an empty page ends a poll, its token begins the next."""
    place = {"logGroupName": group, "logStreamName": stream, "startFromHead": True}
    put(logs, group, stream, "one", "two", "three")
    first = logs.get_log_events(limit=2, **place)
    assert messages(first) == ["one", "two"]
    second = logs.get_log_events(nextToken=first["nextForwardToken"], **place)
    assert messages(second) == ["three"]
    empty = logs.get_log_events(nextToken=second["nextForwardToken"], **place)
    assert messages(empty) == []
    assert empty["nextForwardToken"] == second["nextForwardToken"]
    put(logs, group, stream, "four")
    later = logs.get_log_events(nextToken=empty["nextForwardToken"], **place)
    assert messages(later) == ["four"]
    back = logs.get_log_events(nextToken=later["nextBackwardToken"], **place)
    assert messages(back) == ["one", "two", "three"]


def test_events_are_polled_by_time(logs, group, stream):
    """As the SageMaker SDK v2 does: from the time last seen, which is inclusive."""
    at = now_ms()
    put(logs, group, stream, "one", "two", "three", at=at)
    place = {"logGroupName": group, "logStreamName": stream, "startFromHead": True}
    assert messages(logs.get_log_events(startTime=at + 1, **place)) == ["two", "three"]
    assert messages(logs.get_log_events(endTime=at + 1, **place)) == ["one"]


def test_the_latest_events_come_first_unless_the_head_is_asked_for(logs, group, stream):
    put(logs, group, stream, "one", "two", "three")
    tail = logs.get_log_events(logGroupName=group, logStreamName=stream, limit=2)
    assert messages(tail) == ["two", "three"]
    before = logs.get_log_events(
        logGroupName=group, logStreamName=stream, nextToken=tail["nextBackwardToken"]
    )
    assert messages(before) == ["one"]


def test_streams_are_described_without_a_token_where_all_fitted(logs, group):
    for name in ("a/1", "a/2", "b"):
        logs.create_log_stream(logGroupName=group, logStreamName=name)
    put(logs, group, "a/1", "late", at=now_ms())
    put(logs, group, "b", "early", at=now_ms() - 60_000)
    all_of_them = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix="a/")
    assert [s["logStreamName"] for s in all_of_them["logStreams"]] == ["a/1", "a/2"]
    assert "nextToken" not in all_of_them
    assert all_of_them["logStreams"][0]["lastIngestionTime"] > 0
    assert "lastEventTimestamp" not in all_of_them["logStreams"][1]
    pages = logs.get_paginator("describe_log_streams").paginate(
        logGroupName=group, orderBy="LastEventTime", descending=True,
        PaginationConfig={"PageSize": 1},
    )
    names = [s["logStreamName"] for page in pages for s in page["logStreams"]]
    assert names == ["a/1", "b", "a/2"]
    code, _ = refused(
        logs.describe_log_streams,
        logGroupName=group, orderBy="LastEventTime", logStreamNamePrefix="a",
    )
    assert code == "InvalidParameterException"


def test_events_are_filtered_over_streams_in_the_order_of_time(logs, group):
    for name in ("x/1", "x/2", "y"):
        logs.create_log_stream(logGroupName=group, logStreamName=name)
    at = now_ms()
    put(logs, group, "x/1", "INFO a", "ERROR disk full", at=at)
    put(logs, group, "x/2", "ERROR other", at=at - 5)
    put(logs, group, "y", "ERROR elsewhere", at=at)
    found = logs.filter_log_events(
        logGroupName=group, logStreamNamePrefix="x/", filterPattern="ERROR"
    )
    assert messages(found) == ["ERROR other", "ERROR disk full"]
    assert "nextToken" not in found
    found = logs.filter_log_events(
        logGroupName=group, logStreamNames=["x/1", "y"], filterPattern='"disk full"'
    )
    assert messages(found) == ["ERROR disk full"]
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName=group, PaginationConfig={"PageSize": 1}
    )
    events = [event for page in pages for event in page["events"]]
    assert len(events) == 4 and len({event["eventId"] for event in events}) == 4
    assert [e["timestamp"] for e in events] == sorted(e["timestamp"] for e in events)
    for pattern in ("{ $.level = 1 }", "[a, b]", "%x%"):
        code, message = refused(
            logs.filter_log_events, logGroupName=group, filterPattern=pattern
        )
        assert code == "InvalidParameterException" and "not supported" in message


def test_a_batch_is_checked(logs, group, stream):
    place = {"logGroupName": group, "logStreamName": stream}
    events = [{"timestamp": now_ms(), "message": "b"}, {"timestamp": now_ms() - 5, "message": "a"}]
    code, message = refused(logs.put_log_events, logEvents=events, **place)
    assert code == "InvalidParameterException" and "chronological order" in message
    old = [{"timestamp": now_ms() - 15 * 86_400_000, "message": "old"}]
    answer = logs.put_log_events(logEvents=old, **place)
    assert answer["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1}


def test_logs_survive_a_restart_and_a_kill(fresh_server):
    server = fresh_server()
    logs = server.client("logs")
    logs.create_log_group(logGroupName="g")
    logs.create_log_stream(logGroupName="g", logStreamName="s")
    put(logs, "g", "s", "one")
    server.restart()
    logs = server.client("logs")
    put(logs, "g", "s", "two")
    server.kill9()
    server.start()
    page = server.client("logs").get_log_events(logGroupName="g", logStreamName="s")
    assert messages(page) == ["one", "two"]


def test_the_cli_shows_a_log(server, logs, group, stream):
    put(logs, group, stream, "from the command line")
    place = ("--log-group-name", group, "--log-stream-name", stream)
    shown = server.aws_json("logs", "get-log-events", *place)
    assert messages(shown) == ["from the command line"]
    found = server.aws_json(
        "logs", "filter-log-events", "--log-group-name", group, "--filter-pattern", "command"
    )
    assert messages(found) == ["from the command line"]
    described = server.aws_json("logs", "describe-log-streams", "--log-group-name", group)
    assert described["logStreams"][0]["logStreamName"] == stream
