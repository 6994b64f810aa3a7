"""Command `controls`."""

import argparse
from functools import partial
from typing import Any

from agent_core.cli.access import connected
from agent_core.cli.commands.calls import parse_params
from agent_core.cli.options import Commands, Parser, add_agent_options, add_command, camera_name
from agent_core.cli.output import print_result, table

__all__ = ("add",)

_NONE = "The camera has no controls, or none are known yet."


def add(commands: "Commands[Parser]") -> None:
    parser = add_command(
        commands,
        "controls",
        _controls,
        "List a camera's image controls, or set some; exit code 1 if one is refused.",
    )
    add_agent_options(parser)
    parser.add_argument("device", type=camera_name, metavar="CAMERA", help="for example camera0")
    parser.add_argument(
        "values",
        metavar="NAME=VALUE",
        nargs="*",
        help="for example brightness=10 or auto_exposure='Manual Mode'; kept over replugs and restarts",
    )
    parser.add_argument(
        "--reset",
        action="store_true",
        help="first set the defaults of all controls, and forget the kept values",
    )


def _controls(arguments: argparse.Namespace) -> int:
    import anyio

    values = parse_params(arguments.values)
    if not values and not arguments.reset:
        listed = anyio.run(partial(_call, arguments, "get_camera_capabilities", {}))["controls"]
        print_result(listed, _list(listed), as_json=arguments.json)
        return 0
    params = {"controls": values, "reset": arguments.reset}
    done = anyio.run(partial(_call, arguments, "set_camera_controls", params))
    print_result(done, _outcomes(done), as_json=arguments.json)
    return int(any(each["status"] == "REFUSED" for each in done["controls"].values()))


async def _call(arguments: argparse.Namespace, method: str, params: dict[str, Any]) -> Any:
    async with connected(arguments) as agent:
        return await agent.call(method, device=arguments.device, **params)


def _list(controls: list[dict[str, Any]]) -> list[str]:
    rows = [
        [each["name"], _value(each), _range(each), each["default"], each.get("kept", ""), _remarks(each)]
        for each in controls
    ]
    return table(["CONTROL", "VALUE", "RANGE", "DEFAULT", "KEPT", "REMARKS"], rows) if rows else [_NONE]


def _value(control: dict[str, Any]) -> str:
    label = control["choices"].get(str(control["value"]))
    return f"{control['value']} ({label})" if label else str(control["value"])


def _range(control: dict[str, Any]) -> str:
    if control["choices"]:
        return ", ".join(f"{value} ({label})" for value, label in control["choices"].items())
    step = f" by {control['step']}" if control["step"] > 1 else ""
    return f"{control['minimum']} to {control['maximum']}{step}"


def _remarks(control: dict[str, Any]) -> str:
    return " ".join([*control["flags"], *([control["reason"]] if not control["settable"] else [])])


def _outcomes(done: dict[str, Any]) -> list[str]:
    rows = [
        [name, each["requested"], each.get("value", ""), each["status"], each.get("reason", "")]
        for name, each in done["controls"].items()
    ]
    lines = table(["CONTROL", "REQUESTED", "VALUE", "STATUS", "REASON"], rows)
    return lines if done["stored"] else [*lines, "The values cannot be stored; see `camera-agent doctor`."]
