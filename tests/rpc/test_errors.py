import inspect
import json
import logging
from typing import Any

import pytest

from agent_core.base import errors
from agent_core.rpc.errors import CODES, MethodNotFound, wire_error, without_device_paths

#: Raised while starting, never in answer to a call.
NOT_FOR_CLIENTS = {errors.AgentError, errors.ConfigError, errors.StartFailed, errors.PluginError}


def shown(error: Exception) -> Any:
    return json.loads(wire_error(error, "r-1").json())


@pytest.mark.parametrize(
    ("error", "code", "message", "extra"),
    [
        (errors.InvalidParams("x", param="a", rule="b", hint="c"), -32602, "Invalid params", {"param": "a", "rule": "b", "hint": "c"}),
        (errors.AuthenticationFailed("x"), -32001, "Authentication failed", {"reason": "not_authenticated"}),
        (errors.PermissionDenied("x", required_role="admin", have_role="viewer"), -32002, "Permission denied", {"required_role": "admin", "have_role": "viewer"}),
        (errors.NotFound("x", resource="camera", id="camera9"), -32010, "Not found", {"resource": "camera", "id": "camera9"}),
        (errors.InvalidState("x", state="A", allowed_states=["B"]), -32020, "Invalid state", {"state": "A", "allowed_states": ["B"]}),
        (errors.Unsupported("x", feature="f"), -32030, "Unsupported", {"feature": "f"}),
        (errors.RateLimited("x", retry_after_ms=5), -32040, "Rate limited", {"retry_after_ms": 5}),
        (errors.DependencyFailed("x", dependency="d", detail="e"), -32050, "Dependency failed", {"dependency": "d", "detail": "e"}),
        (errors.TierUnavailable("x"), -32050, "Dependency failed", {"dependency": "camera", "reason": "tier_unavailable"}),
        (MethodNotFound("x", hint="h"), -32601, "Method not found", {"hint": "h"}),
    ],
)  # fmt: skip
def test_each_error_has_its_code_and_fields(
    error: Exception, code: int, message: str, extra: dict[str, object]
) -> None:
    wire = shown(error)
    assert (wire["code"], wire["message"]) == (code, message)
    assert wire["data"] | extra == wire["data"]
    assert all(wire["data"][word] for word in ("reason", "details", "suggestion"))


def test_every_class_of_the_tree_has_a_code() -> None:
    tree = [
        each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, errors.AgentError)
    ]
    without = {each for each in tree if not any(base in CODES for base in each.__mro__)}
    assert without == NOT_FOR_CLIENTS


def test_codes_are_distinct() -> None:
    assert len({code.code for code in CODES.values()}) == len(CODES)


@pytest.mark.parametrize("error", [ZeroDivisionError("secret words"), errors.StartFailed("secret words")])
def test_a_bug_is_logged_and_shown_without_its_words(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    wire = shown(error)
    assert (wire["code"], wire["data"]["request_id"]) == (-32603, "r-1")
    assert "secret words" not in json.dumps(wire)
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert record.__dict__["fields"] == {"request_id": "r-1"}
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_a_group_of_one_is_its_error_and_a_group_of_two_is_a_bug() -> None:
    one = ExceptionGroup("g", [ExceptionGroup("h", [errors.AuthenticationFailed("x")])])
    assert shown(one)["code"] == -32001
    two = ExceptionGroup("g", [errors.AuthenticationFailed("x"), errors.AuthenticationFailed("y")])
    assert shown(two)["code"] == -32603


def test_device_paths_are_blanked_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    text = json.dumps({"a": "open /dev/video0: busy", "b": "file:/dev/v4l/by-id/usb-x\n", "c": "/device/x"})
    clean = json.loads(without_device_paths(text))
    assert clean == {"a": "open [device] busy", "b": "file:[device]\n", "c": "/device/x"}
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "error",
    [
        errors.InvalidParams("x", param="/dev/video0", rule="unknown", hint="x"),
        errors.NotFound("There is no /dev/video0.", resource="snapshot", id="/dev/video0"),
        MethodNotFound("This agent does not provide '/dev/video0'.", hint="x"),
        errors.Unsupported("There is no control /dev/video0.", feature="/dev/video0"),
    ],
)
def test_a_device_path_that_a_call_has_named_is_no_bug(
    error: errors.AgentError, caplog: pytest.LogCaptureFixture
) -> None:
    """Otherwise any client could fill the log with errors."""
    text = wire_error(error, "").json()
    assert "[device]" in text
    assert "/dev/" not in text
    assert caplog.records == []
    told = wire_error(errors.CaptureFailed("No picture.", detail="cannot open /dev/video3: busy"), "").json()
    assert "/dev/" not in told
    assert len(caplog.records) == 1


def test_a_device_path_that_the_call_has_named_is_no_bug_in_a_result(
    caplog: pytest.LogCaptureFixture,
) -> None:
    text = '{"refused":"there is no value /dev/video0."}'
    clean = '{"refused":"there is no value [device]"}'
    assert without_device_paths(text, call={"controls": {"a": "/dev/video0"}}) == clean
    assert caplog.records == []
    assert without_device_paths(text, call={"controls": {"a": "/dev/video1"}}) == clean
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    "path",
    ["/dev/shm/state/snapshots/a.jpg", "/home/me/dev/agent/a.jpg", "/srv/K\u00fcche/dev/a.jpg"],  # noqa: S108
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_file_is_no_device(path: str, ascii_only: bool, caplog: pytest.LogCaptureFixture) -> None:
    text = json.dumps({"file_path": path}, ensure_ascii=ascii_only)
    assert without_device_paths(text) == text
    assert caplog.records == []


@pytest.mark.parametrize("before", ["", " ", "\n", "\t", "\x1b", "'", "(", "=", "v4l2:", "file://"])
def test_a_device_is_found_behind_whatever_stands_before_it(before: str) -> None:
    text = json.dumps({"details": f"{before}/dev/video0"})
    assert json.loads(without_device_paths(text)) == {"details": f"{before}[device]"}
