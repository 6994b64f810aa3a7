"""Command `fleet snapshot`."""

import argparse
import re
from base64 import b64decode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Literal

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from agent_core.plugin import AgentError, WorkerPool
from agent_core.plugin.commands import CommandOutput
from mqtt_bridge.client import CallFailed, FleetAgent, FleetClient, FleetError, Selector
from mqtt_bridge.fleet.access import chosen, connected, run
from mqtt_bridge.fleet.picture_folder import PictureFolder
from mqtt_bridge.fleet.summary import described_error, find_agents, print_answers

__all__ = ("run_snapshot",)

_CAMERA = re.compile(r"camera(?:0|[1-9][0-9]{0,8})", re.ASCII)
_CAMERAS = 1000
#: Room for the rest of a reply beside the picture in base64, which takes four bytes for three.
_REPLY_REST_BYTES = 4096
#: Bounds of the parameter `max_bytes`; the upper one is its default.
_LEAST_BYTES, _MOST_BYTES = 1024, 700_000
_PROPOSED_WIDTH = re.compile(r"width=([1-9][0-9]{0,4})")
_SUFFIXES = {"image/jpeg": "jpg", "image/png": "png"}


class _Camera(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    device: str
    status: str


class _Cameras(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    cameras: list[_Camera]


class _Picture(BaseModel):
    """Answer of `get_picture`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    content_type: Literal["image/jpeg", "image/png"]
    size_bytes: int
    captured_at: datetime
    data: str


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Pictures to take: of one camera, or of all with None."""

    camera: str | None
    width: int | None
    quality: int | None


def run_snapshot(arguments: argparse.Namespace, output: CommandOutput) -> int:
    """Take pictures with cameras of the chosen agents, and store them."""
    selector = chosen(arguments.selector)
    folder = PictureFolder.at(arguments.output)
    wanted = _Wanted(arguments.camera, arguments.width, arguments.quality)
    return run(partial(_take_all, arguments, selector, wanted, folder, output))


async def _take_all(
    arguments: argparse.Namespace,
    selector: Selector,
    wanted: _Wanted,
    folder: PictureFolder,
    output: CommandOutput,
) -> int:
    async with connected(arguments, needs_key=True) as fleet:
        agents = await find_agents(fleet, selector, arguments.selector)
        work = _Taking(fleet, wanted, folder).of
        answers = fleet.for_each(agents, work, concurrency=arguments.concurrency)
        return await print_answers(answers, len(agents), output, _lines, _fails)


class _Taking:
    """Taking and storing of pictures of one agent after the other camera."""

    def __init__(self, fleet: FleetClient, wanted: _Wanted, folder: PictureFolder) -> None:
        self._fleet = fleet
        self._wanted = wanted
        self._folder = folder
        self._disk = WorkerPool(1)

    async def of(self, agent: FleetAgent) -> JsonValue:
        """Return a list of what became of each camera: `device` with `file` and `size_bytes`, or with `error`."""
        cameras = await self._cameras(agent) if self._wanted.camera is None else [self._wanted.camera]
        return [await self._one(agent, camera) for camera in cameras]

    async def _cameras(self, agent: FleetAgent) -> Sequence[str]:
        answer = await self._fleet.call(agent.id, "get_camera_list")
        try:
            found = _Cameras.model_validate(answer).cameras
        except ValidationError as error:
            raise _odd(agent.id, "get_camera_list") from error
        usable = [
            each.device for each in found if each.status == "CONNECTED" and _CAMERA.fullmatch(each.device)
        ]
        return usable[:_CAMERAS]

    async def _one(self, agent: FleetAgent, camera: str) -> JsonValue:
        try:
            picture, content = await self._picture(agent, camera)
        except CallFailed as error:
            return {"device": camera, "error": described_error(error)}
        moment = picture.captured_at.strftime("%Y-%m-%d_%H-%M-%S.%f")[:-3]
        name = f"{agent.id}_{camera}_{moment}Z"
        try:
            path = await self._disk.run(self._folder.store, name, _SUFFIXES[picture.content_type], content)
        except AgentError as error:  # such as a full disk
            return {"device": camera, "error": described_error(error)}
        return {"device": camera, "file": str(path), "size_bytes": len(content)}

    async def _picture(self, agent: FleetAgent, camera: str) -> tuple[_Picture, bytes]:
        room_bytes = (agent.limits.max_reply_bytes - _REPLY_REST_BYTES) * 3 // 4
        params: dict[str, JsonValue] = {"device": camera}
        if room_bytes < _MOST_BYTES:
            params["max_bytes"] = max(_LEAST_BYTES, room_bytes)
        params |= {
            name: value
            for name, value in (("width", self._wanted.width), ("quality", self._wanted.quality))
            if value is not None
        }
        try:
            answer = await self._fleet.request(agent.id, "get_picture", params)
        except CallFailed as error:
            width = _proposed_width(error)
            if width is None:
                raise
            answer = await self._fleet.request(agent.id, "get_picture", {**params, "width": width})
        return _parsed(agent.id, answer)


def _proposed_width(error: CallFailed) -> int | None:
    """Return the width at which a picture that is too large would fit; None for another error."""
    if error.wire_data.get("rule") != "picture_too_large":
        return None
    found = _PROPOSED_WIDTH.fullmatch(str(error.wire_data.get("hint")))
    return None if found is None else int(found[1])


def _parsed(agent: str, answer: JsonValue) -> tuple[_Picture, bytes]:
    try:
        picture = _Picture.model_validate(answer)
        content = b64decode(picture.data, validate=True)
        if picture.captured_at.tzinfo is not None and 0 < len(content) == picture.size_bytes <= _MOST_BYTES:
            moment = picture.captured_at.astimezone(UTC)
            return picture.model_copy(update={"captured_at": moment}), content
    except (ValueError, OverflowError):  # also of the form, and a time before the year 1 in UTC
        pass
    raise _odd(agent, "get_picture")


def _odd(agent: str, method: str) -> FleetError:
    return FleetError(
        f"The agent {agent} answers {method} in an unknown form.",
        reason="unexpected_result",
        suggestion="Use the command line of the agent's version.",
    )


def _lines(agent: str, result: JsonValue) -> Iterable[str]:
    assert isinstance(result, list)  # noqa: S101 - as `_Taking.of` returns it
    if not result:
        yield f"{agent}: no camera is connected"
    for each in result:
        assert isinstance(each, dict)  # noqa: S101
        error = each.get("error")
        yield (
            f"{agent}: {each['device']}: {error['details']}" if isinstance(error, dict) else str(each["file"])
        )


def _fails(result: JsonValue) -> bool:
    return isinstance(result, list) and any(isinstance(each, dict) and "error" in each for each in result)
