"""Commands `streams discover`, `streams add`, `streams remove` and `streams external`, of the plugin external_discovery."""

import argparse
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from agent_core.cli.access import connected
from agent_core.cli.exits import UsageFailed
from agent_core.cli.options import Commands, Parser, add_agent_options, add_command
from agent_core.cli.output import one_line, print_result, table

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ("add_below",)

_NONE = (
    "No external streams. `camera-agent streams add URL NAME` adds one; `streams discover` searches for some."
)
_URL = "address without user and password, such as rtsp://192.0.2.7/stream1"


def add_below(below: "Commands[Parser]") -> None:
    """Add the commands to those of `streams`."""
    external = add_command(below, "external", _external, "List the external streams, added and found.")
    discover = add_command(below, "discover", _discover, "Search the configured networks for streams.")
    discover.add_argument("--cameras", action="store_true", help="search for cameras, not only for UAVs")
    discover.add_argument("--rescan", action="store_true", help="scan now, even if the last scan is recent")
    discover.add_argument("--offline", action="store_true", help="list also streams that are gone")
    new = add_command(below, "add", _add, "Add a network stream as a camera, and print the camera's id.")
    new.add_argument("stream", metavar="URL", help=_URL)
    new.add_argument("name", metavar="NAME", help="name of the camera")
    new.add_argument(
        "--type", choices=("generic_rtsp", "skydio", "onvif", "dnssd"), help="default: generic_rtsp"
    )
    new.add_argument("--user", help="user name at the camera")
    new.add_argument(
        "--password-file",
        metavar="FILE",
        help="file with the password on its first line; - is standard input",
    )
    new.add_argument("--no-verify", action="store_true", help="add it even if it cannot be opened now")
    gone = add_command(below, "remove", _remove, "Remove a network stream; its recordings stay.")
    gone.add_argument("stream", metavar="URL", help="address, as `camera-agent streams external` lists it")
    for each in (external, discover, new, gone):
        add_agent_options(each)


def _external(arguments: argparse.Namespace) -> int:
    listed = _called(arguments, "get_external_streams", {})
    return _print_streams(arguments, listed, listed["external_streams"])


def _discover(arguments: argparse.Namespace) -> int:
    given = {
        "generic_enabled": arguments.cameras,
        "force_rescan": arguments.rescan,
        "include_offline": arguments.offline,
    }
    found = _called(arguments, "discover_external_streams", given)
    return _print_streams(arguments, found, found["discovered_streams"], found["errors"])


def _print_streams(
    arguments: argparse.Namespace, answer: Any, streams: list[Any], errors: list[str] | None = None
) -> int:
    rows = [
        [each["url"], each["name"], each["type"], _state(each), each.get("device") or ""] for each in streams
    ]
    lines = table(["ADDRESS", "NAME", "TYPE", "STATE", "CAMERA"], rows) if rows else [_NONE]
    print_result(answer, [*lines, *map(one_line, errors or [])], as_json=arguments.json)
    return 0


def _state(stream: Any) -> str:
    state = str(stream["status"]).lower()
    if stream["capabilities"].get("needs_credentials") and state == "discovered":
        return "needs password"
    return state if stream["online"] or state == "error" else f"{state}, offline"


def _add(arguments: argparse.Namespace) -> int:
    _refuse_secret(arguments.stream)
    if (arguments.password_file is None) == bool(arguments.user):
        raise UsageFailed(
            "A user and a password need each other.",
            suggestion="Give the user with --user, and the password with --password-file FILE or -.",
        )
    given: dict[str, Any] = {"stream_url": arguments.stream, "stream_name": arguments.name}
    if arguments.type:
        given["stream_type"] = arguments.type
    if arguments.user:
        given |= {"user": arguments.user, "password": _password(arguments.password_file)}
    if arguments.no_verify:
        given["verify"] = False
    added = _called(arguments, "add_external_stream", given)
    print_result(added, [added["device"]], as_json=arguments.json)
    return 0


def _remove(arguments: argparse.Namespace) -> int:
    _refuse_secret(arguments.stream)
    removed = _called(arguments, "remove_external_stream", {"stream_url": arguments.stream})
    print_result(removed, [f"Removed {one_line(removed['stream_url'])}."], as_json=arguments.json)
    return 0


def _refuse_secret(url: str) -> None:
    """Refuse an address with a user: each user of this host can read the arguments of programs."""
    authority = url.partition("://")[2].partition("/")[0]
    if "@" in authority:
        raise UsageFailed(
            "The address contains a user.",
            reason="secret_in_url",
            suggestion="Give the user with --user, and the password with --password-file FILE or -.",
        )


def _password(file: str) -> str:
    try:
        if file == "-":
            return _from_standard_input()
        from pathlib import Path

        text = Path(file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        said = getattr(error, "strerror", None) or "it is not text"
        raise UsageFailed(
            f"The password file cannot be read: {said.lower()}.",
            reason="password_file",
            suggestion="Give the path of a file with the password on its first line.",
        ) from error
    return text.partition("\n")[0].removesuffix("\r")


def _from_standard_input() -> str:
    if sys.stdin.isatty():
        from getpass import getpass

        return getpass("Password of the camera: ")
    return sys.stdin.readline().removesuffix("\n").removesuffix("\r")


def _called(arguments: argparse.Namespace, method: str, given: "Mapping[str, Any]") -> Any:
    import anyio

    return anyio.run(partial(_call, arguments, method, given))


async def _call(arguments: argparse.Namespace, method: str, given: "Mapping[str, Any]") -> Any:
    async with connected(arguments) as agent:
        return await agent.call(method, **given)
