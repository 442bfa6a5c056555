"""Checks every answer a test receives against botocore's own model of the operation.

botocore ignores members it does not know and forgives wrong types; people with other SDKs do not
have that luck. `watch(client)` makes a violation fail the test that caused it.
"""

from __future__ import annotations

import json
from xml.etree import ElementTree

JSON_TYPES = {
    "string": (str,),
    "character": (str,),
    "blob": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
}


def watch(client) -> None:
    """Checks the answers of a boto3 client from now on."""
    service = client.meta.service_model

    def check(response_dict, event_name, **_):
        # There is none where the connection broke.
        if response_dict is None or response_dict["status_code"] >= 300:
            return
        operation = service.operation_model(event_name.rsplit(".", 1)[-1])
        problems = violations(operation, response_dict["body"], service.metadata)
        assert not problems, f"{operation.name} answered against its model: {problems}"

    client.meta.events.register("response-received", check)


def violations(operation, body, metadata) -> list[str]:
    shape = operation.output_shape
    if operation.has_streaming_output:
        return []
    if shape is None or not body:
        return [] if shape is None or not shape.required_members else ["the body is empty"]
    protocol = operation.service_model.resolved_protocol
    if protocol in ("json", "rest-json"):
        payload = shape.serialization.get("payload")
        target = shape.members[payload] if payload else shape
        if target.type_name == "blob":
            return []
        return list(of_json(target, json.loads(body), operation.name, located(target)))
    root = ElementTree.fromstring(body)
    if protocol == "query":
        wrapper = shape.serialization.get("resultWrapper")
        root = next((child for child in root if local(child) == wrapper), root)
    payload = shape.serialization.get("payload")
    return list(of_xml(shape.members[payload] if payload else shape, root, operation.name))


def located(shape) -> set[str]:
    """Members of the top structure that travel as headers or status, not in the body."""
    members = getattr(shape, "members", {})
    return {name for name, member in members.items() if "location" in member.serialization}


def of_json(shape, value, path: str, elsewhere: set[str] = frozenset()):
    kind = shape.type_name
    if value is None:
        yield f"{path} is null"
    elif kind == "structure":
        if not isinstance(value, dict):
            yield f"{path} is no object"
            return
        names = {m.serialization.get("name", name): m for name, m in shape.members.items()}
        if not value and names and elsewhere == frozenset() and "." in path:
            yield f"{path} is an empty structure"
        for name in set(shape.required_members) - elsewhere - set(value):
            yield f"{path}.{name} is required and absent"
        for name, member in value.items():
            if name in names:
                yield from of_json(names[name], member, f"{path}.{name}")
            elif name != "__type":
                yield f"{path}.{name} is not in the model"
    elif kind == "list":
        if not isinstance(value, list):
            yield f"{path} is no list"
            return
        for index, member in enumerate(value):
            yield from of_json(shape.member, member, f"{path}[{index}]")
    elif kind == "map":
        if not isinstance(value, dict):
            yield f"{path} is no map"
            return
        for name, member in value.items():
            yield from of_json(shape.value, member, f"{path}.{name}")
    elif kind == "timestamp":
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            yield f"{path} is no time"
    elif not isinstance(value, JSON_TYPES[kind]) or (
        isinstance(value, bool) and kind != "boolean"
    ):
        yield f"{path} is {value!r}, not a {kind}"
    elif shape.metadata.get("enum") and value not in shape.metadata["enum"]:
        yield f"{path} is {value!r}, which the model does not list"


def of_xml(shape, element, path: str):
    if shape.type_name == "structure":
        members = {
            member.serialization.get("name", name): member
            for name, member in shape.members.items()
            if member.serialization.get("location") not in ("header", "headers", "statusCode")
        }
        for name, member in list(members.items()):
            if member.type_name == "list" and member.serialization.get("flattened"):
                item = member.member.serialization.get("name")
                members.setdefault(item or name, member)
        for child in element:
            name = local(child)
            if name not in members:
                yield f"{path}.{name} is not in the model"
                continue
            member = members[name]
            if member.type_name == "list" and member.serialization.get("flattened"):
                member = member.member
            yield from of_xml(member, child, f"{path}.{name}")
    elif shape.type_name == "list":
        item = shape.member.serialization.get("name", "member")
        for child in element:
            if local(child) != item:
                yield f"{path} holds <{local(child)}>, not <{item}>"
            yield from of_xml(shape.member, child, f"{path}.{item}")
    elif shape.type_name not in ("map",) and len(element):
        yield f"{path} has children, and is a {shape.type_name}"


def local(element) -> str:
    return element.tag.rsplit("}", 1)[-1]
