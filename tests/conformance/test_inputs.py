"""Compares what every operation reads of a request with botocore's own model.

A member the server reads must be in the model, with its type. `baseline.json` holds how many of
the model's members each operation reads; the numbers may only rise. To record a rise, run

    KENNEL_CONFORMANCE_RECORD=1 pytest tests/conformance
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import botocore.session
import pytest

HERE = Path(__file__).resolve().parent
BASELINE = HERE / "baseline.json"
KENNEL = os.environ.get("KENNEL_BIN", str(HERE.parents[1] / "target/debug/kennel"))
KINDS = {
    "text": {"string", "blob", "character"},
    "integer": {"integer", "long"},
    "number": {"float", "double", "integer", "long"},
    "boolean": {"boolean"},
    "timestamp": {"timestamp"},
}


@pytest.fixture(scope="module")
def operations() -> dict:
    printed = subprocess.run([KENNEL, "__operations"], capture_output=True, text=True, check=True)
    return json.loads(printed.stdout)


@pytest.fixture(scope="module")
def models():
    session = botocore.session.get_session()
    return lambda service: session.get_service_model(service)


def differences(ours: dict, shape, path: str):
    kind = ours["type"]
    if kind == "any":
        return
    if kind == "structure":
        if shape.type_name != "structure":
            yield f"{path} is a {shape.type_name} in the model"
            return
        for name, member in ours["members"].items():
            if name not in shape.members:
                yield f"{path}.{name} is not in the model"
            else:
                yield from differences(member, shape.members[name], f"{path}.{name}")
    elif kind == "list":
        if shape.type_name != "list":
            yield f"{path} is a {shape.type_name} in the model"
        else:
            yield from differences(ours["member"], shape.member, f"{path}[]")
    elif kind == "map":
        if shape.type_name != "map":
            yield f"{path} is a {shape.type_name} in the model"
        else:
            yield from differences(ours["value"], shape.value, f"{path}{{}}")
    elif shape.type_name not in KINDS[kind]:
        yield f"{path} is read as {kind}, and is a {shape.type_name} in the model"


def test_every_member_read_is_in_the_model(operations, models):
    found = []
    for name, ours in operations.items():
        service, operation = name.split(".")
        shape = models(service).operation_model(operation).input_shape
        if shape is not None:
            found += differences(ours, shape, operation)
    assert not found, "\n".join(found)


def test_no_operation_reads_less_of_the_model_than_before(operations, models):
    read = {}
    for name, ours in operations.items():
        service, operation = name.split(".")
        shape = models(service).operation_model(operation).input_shape
        total = len(shape.members) if shape is not None else 0
        known = set(ours.get("members", {})) & set(shape.members if shape is not None else ())
        read[name] = {"read": len(known), "of": total}
    if os.environ.get("KENNEL_CONFORMANCE_RECORD") == "1":
        BASELINE.write_text(json.dumps(read, indent=2, sort_keys=True) + "\n")
    baseline = json.loads(BASELINE.read_text())
    fallen = {
        name: (entry, read.get(name))
        for name, entry in baseline.items()
        if name not in read or read[name]["read"] < entry["read"]
    }
    assert not fallen, f"read less than the baseline: {fallen}"
    risen = {name for name, entry in read.items() if baseline.get(name) != entry}
    assert not risen, f"record the rise of {sorted(risen)} in {BASELINE.name} (see above)"
    print(f"{sum(e['read'] for e in read.values())} of {sum(e['of'] for e in read.values())}",
          "top-level members read", file=sys.stderr)
