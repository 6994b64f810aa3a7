"""What the documents say in numbers and names is what the code has."""

import ast
import base64
import json
import re
from collections.abc import Iterator, Mapping
from inspect import signature
from pathlib import Path
from typing import Any

import anyio
import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from agent_core.api.contract import core_topics
from agent_core.auth import files as credentials
from agent_core.auth import limits, revocations, secret, tokens
from agent_core.auth.api_keys import ApiKeys
from agent_core.auth.links import DownloadLinks
from agent_core.auth.roles import Role
from agent_core.auth.stored_keys import API_KEY_PREFIX
from agent_core.base import descriptors, processes, small_files
from agent_core.base.clock import SystemClock
from agent_core.cli.main import _whole_parser
from agent_core.client import AgentClient
from agent_core.config import AgentConfig
from agent_core.media.thumbnails import failures, service
from agent_core.rpc import allowance, protocol
from agent_core.rpc.errors import CODES
from agent_core.rpc.topics import ALIASES
from agent_core.testing import document_of
from agent_core.web import engine, log_limit, server, slots, socket_protocol
from tests.error_table import OPEN_CODES, ErrorTable
from tests.meta.test_docs import ROOT, blocks, commands

#: Documents of the agent as a whole.
TEXTS: Mapping[str, str] = {
    name: re.sub(r"\s+", " ", (ROOT / "docs" / name).read_text())
    for name in (
        "api.md",
        "security.md",
        "client.md",
        "configuration.md",
        "cli.md",
        "monitoring.md",
        "mediamtx.md",
    )
}
_WORDS = {1: "a", 2: "two", 10: "ten"}
_SPANS = {1: "one second", 60: "a minute", 30: "half a minute", 3600: "one hour"}


def key_bytes(folder: Path) -> int:
    key = ApiKeys(folder / "keys", SystemClock()).create("user", Role.VIEWER)
    return len(base64.urlsafe_b64decode(key.removeprefix(API_KEY_PREFIX) + "="))


def secret_bytes(folder: Path) -> int:
    return len(base64.urlsafe_b64decode(secret.Secret.load(folder / "secret").value))


LINK_S = signature(DownloadLinks).parameters["lifetime_s"].default
LIMITS = f"{protocol.MAX_VALUES:,}"
#: Phrases with the numbers of the code, by document.
CLAIMS = (
    ("api.md", f"A batch has 1 to {protocol.MAX_BATCH} calls"),
    ("api.md", f"JSON may nest {protocol.MAX_DEPTH} levels deep"),
    ("api.md", f"may have {LIMITS} values, and {protocol.MAX_ANONYMOUS_VALUES:,} before"),
    (
        "api.md",
        f"longer than {limits._BYTES_PER_CALL >> 10} KiB, the agent reads the rest at {limits._BYTES_PER_CALL >> 10} KiB per",
    ),
    ("api.md", f"for up to {_SPANS[int(allowance._LONGEST_REST_S)]} per message"),
    ("api.md", f"opens this one file, for {_SPANS[int(LINK_S)]}"),
    ("api.md", f"less than {engine._LEAST_BYTES_PER_S >> 10} KiB per second"),
    ("api.md", f"after {_SPANS[int(failures.RETRY_S)]} if the file need not be the cause"),
    ("api.md", f"a JWT of at most {tokens._MAX_TOKEN_CHARS} characters"),
    ("api.md", f"`user_id` (1 to {tokens._MAX_USER_ID_CHARS} characters)"),
    ("api.md", f"on a binary frame ({server._UNSUPPORTED_DATA})"),
    ("api.md", f"closed with {socket_protocol._TRY_AGAIN_LATER}. When"),
    ("api.md", f"within a second, with code {socket_protocol._POLICY_VIOLATION}"),
    ("security.md", f"more than {_SPANS[int(tokens._CLOCK_SKEW_S)]} in the future"),
    ("security.md", f"at most {revocations.MOST_REVOKED} revoked tokens"),
    ("security.md", f"looks at the files every {credentials._UNWATCHED_LOOK_S:g} seconds"),
    ("security.md", f"after at most {credentials._WATCHED_LOOK_S:g} seconds"),
    ("security.md", f"signed with at least {secret._MIN_SECRET_BYTES * 8} bits"),
    (
        "security.md",
        f"A batch has at most {protocol.MAX_BATCH} calls; JSON has at most {protocol.MAX_DEPTH} levels and {LIMITS} values",
    ),
    ("security.md", f"less than {engine._LEAST_BYTES_PER_S >> 10} KiB per second"),
    ("security.md", f"to the hard one, at most {descriptors.MOST_DESCRIPTORS:,}"),
    ("security.md", f"half of the descriptors beyond {slots._RESERVE_DESCRIPTORS}"),
    ("security.md", f"at most {_WORDS[log_limit._BURST]} times per minute"),
    ("security.md", f"open one file for {_SPANS[int(LINK_S)]}"),
    (
        "security.md",
        f"at most {_WORDS[service.MAKERS]} at once, and at most {service.MAX_WAITING} requests wait",
    ),
    ("security.md", f"regular files of at most {small_files.LIMIT_BYTES >> 20} MiB"),
    ("client.md", f"the newest {signature(AgentClient.subscribe).parameters['capacity'].default} events"),
)


@pytest.mark.parametrize(("name", "phrase"), CLAIMS)
def test_a_number_in_the_text_is_that_of_the_code(name: str, phrase: str) -> None:
    assert phrase in TEXTS[name]


def test_the_lengths_of_generated_credentials(tmp_path: Path) -> None:
    assert f"from {secret_bytes(tmp_path)} random bytes" in TEXTS["security.md"]
    assert f"API keys** have {key_bytes(tmp_path) * 8} random bits" in TEXTS["security.md"]


def test_every_variable_that_children_do_not_inherit_is_named() -> None:
    (sentence,) = re.findall(r"Children inherit no variables[^;]*;", TEXTS["security.md"])
    assert [name for name in processes._OUR_OWN if f"`{name}" not in sentence] == []


def settings() -> set[str]:
    found = set()
    for section, field in AgentConfig.model_fields.items():
        model = field.annotation
        if isinstance(model, type) and issubclass(model, BaseModel):
            found |= {f"{section}.{key}" for key in model.model_fields}
    return found


@pytest.mark.parametrize("name", TEXTS)
def test_settings_in_the_text_exist(name: str) -> None:
    sections = "|".join(set(AgentConfig.model_fields) - {"plugins"})
    shown = set(re.findall(rf"`((?:{sections})\.[a-z_]+)[`\s=]", TEXTS[name]))
    assert shown - settings() == set()


@pytest.mark.parametrize("name", TEXTS)
def test_commands_in_the_text_exist(name: str) -> None:
    known = {tuple(each.split()) for each in commands(_whole_parser())}
    for shown in re.findall(r"`camera-agent ([a-z][a-z-]*(?: [a-z][a-z-]*)*)", TEXTS[name]):
        words = tuple(shown.split())
        assert any(words[: len(each)] == each for each in known), shown


@pytest.fixture(scope="module")
def document() -> Any:
    return anyio.run(document_of)


def test_methods_in_the_text_exist(document: Any) -> None:
    methods = {each["name"] for each in document["methods"]}
    members = {
        member for each in document["components"]["schemas"].values() for member in each.get("properties", ())
    }
    others = {param["name"] for each in document["methods"] for param in each["params"]}
    verbs = "|".join({each.partition("_")[0] for each in methods if "_" in each and "." not in each})
    for text in TEXTS.values():
        shown = set(re.findall(rf"`((?:{verbs})_[a-z_]+)[`\s]", text))
        assert shown - methods - members - others - {"start_timed_out"} == set()


def test_each_topic_is_in_the_text_with_its_method_and_params() -> None:
    (table,) = re.findall(
        r"^\| topic \| `method` \| `params` \|\n(.*?)\n\n",
        (ROOT / "docs/api.md").read_text(),
        re.DOTALL | re.MULTILINE,
    )
    told = {}
    for topics, method, params in re.findall(r"^\| (.*?) \| (.*?) \| ?(.*)\|$", table, re.MULTILINE):
        form = re.search(r"\[(\w+Form)\]", params)
        for topic in re.findall(r"`([^`]+)`", topics):
            told[topic] = (topic if method == "the topic" else method.strip("`"), form[1] if form else None)
    for each in core_topics(None, None).notifications:  # type: ignore[arg-type]
        for name in each.topics[:1]:
            assert told.pop(name) == (each.method, each.form.__name__ if each.form is not None else None)
    plugins = {topic for topic in told if topic.startswith("external_discovery.")}
    assert {*told} - plugins == {alias for alias, _ in ALIASES}


def test_requests_in_the_text_are_valid(document: Any) -> None:
    methods = {each["name"]: each for each in document["methods"]}
    requests = [json.loads(each) for each in blocks((ROOT / "docs/api.md").read_text(), "json")]
    assert requests
    for request in requests:
        params = methods[request["method"]]["params"]
        resource = Resource.from_contents(document, default_specification=DRAFT202012)
        registry = Registry().with_resource("contract:", resource)
        assert {*request["params"]} >= {each["name"] for each in params if each["required"]}
        schemas = {each["name"]: each["schema"] for each in params}
        for name, value in request["params"].items():
            text = json.dumps(schemas[name]).replace('"#/', '"contract:#/')
            Draft202012Validator(json.loads(text), registry=registry).validate(value)


def raised_reasons(path: Path, kinds: set[str]) -> Iterator[str]:
    """Yield the reasons that a module gives to errors of the classes `kinds`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in kinds:
            for each in node.keywords:
                if each.arg == "reason" and isinstance(each.value, ast.Constant):
                    yield str(each.value.value)


def test_every_reason_for_programs_is_in_the_text() -> None:
    """Those of failures of a dependency are many, and open; the table says so."""
    kinds = {each.__name__ for each, code in CODES.items() if code.code not in OPEN_CODES}
    parts = [
        path for path in (ROOT / "agent_core").iterdir() if path.name not in {"cli", "client", "testing"}
    ]
    modules = [module for part in parts for module in part.rglob("*.py")]
    raised = {reason for module in modules for reason in raised_reasons(module, kinds)}
    assert len(raised) > 30
    assert raised - ErrorTable().reasons == set()
