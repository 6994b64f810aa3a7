"""Description of `camera-agent fleet` and its options. Imports what a command needs when it runs."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent_core.plugin.commands import CommandGroup, CommandKit, CommandOutput

__all__ = ("add",)

_SELECTOR = "agents: an id, a glob such as 'north-*', LABEL=VALUE, or all"


def add(kit: "CommandKit") -> None:
    """Add the commands; named by an entry point of the group `camera_agent.commands`."""
    kit.options(_add_broker)
    group = kit.group("Drive many agents through an MQTT broker.")
    listed = group.add("list", _list, "List the agents that are known at the broker.")
    _add_optional_selector(listed)
    _add_call(kit, group)
    _add_snapshot(kit, group)
    _add_watch(kit, group)
    new = group.add("new-key", _new_key, "Make the key of a fleet, and store it in a file.")
    new.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FILE",
        help="new file, which only its owner can read",
    )
    agent = group.add("agent-key", _agent_key, "Print the key of one agent, derived from that of the fleet.")
    agent.add_argument("agent", metavar="AGENT", help="id of the agent")


def _add_optional_selector(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "selector", metavar="SELECTOR", nargs="?", default="all", help=f"{_SELECTOR}; default: all"
    )


def _add_call(kit: "CommandKit", group: "CommandGroup") -> None:
    parser = group.add("call", _call, "Call a method of agents, and print the answers as they come.")
    parser.add_argument("selector", metavar="SELECTOR", help=_SELECTOR)
    parser.add_argument("method", metavar="METHOD", help="for example get_camera_list")
    parser.add_argument(
        "params", metavar="KEY=VALUE", nargs="*", help="a value is parsed as JSON, or else taken as text"
    )
    parser.set_defaults(parse_params=kit.parse_params)
    _add_limits(kit, parser)


def _add_snapshot(kit: "CommandKit", group: "CommandGroup") -> None:
    text = "Take pictures with cameras of agents, and store them on this machine."
    parser = group.add("snapshot", _snapshot, text)
    parser.add_argument("selector", metavar="SELECTOR", help=_SELECTOR)
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for AGENT_CAMERA_TIME.jpg; made if it does not exist; no file in it is replaced",
    )
    parser.add_argument(
        "--camera",
        type=kit.camera_name,
        metavar="CAMERA",
        help="this camera of each agent; default: all that are connected",
    )
    parser.add_argument("--width", type=kit.number(int, 1, 8192), help="largest width in pixels")
    parser.add_argument("--quality", type=kit.number(int, 1, 100), help="JPEG quality, 1 to 100")
    _add_limits(kit, parser)


def _add_watch(kit: "CommandKit", group: "CommandGroup") -> None:
    parser = group.add("watch", _watch, "Print events of agents as they arrive, one per line.")
    _add_optional_selector(parser)
    parser.add_argument(
        "--topic",
        action="append",
        default=[],
        metavar="TOPIC",
        help="only events of this topic; may be given again",
    )
    parser.add_argument(
        "--count", type=kit.number(int, 1, 1_000_000_000), help="end after this number of events"
    )


def _add_limits(kit: "CommandKit", parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--deadline",
        type=kit.number(float, 0.1, 3600.0),
        default=20.0,
        metavar="S",
        help="seconds after which an agent counts as not answering; default: 20",
    )
    parser.add_argument(
        "--concurrency",
        type=kit.number(int, 1, 10_000),
        default=100,
        metavar="N",
        help="most agents that are asked at a time; default: 100",
    )


def _add_broker(parser: argparse.ArgumentParser) -> None:
    """Add the options that lead to the broker, without defaults: they may stand before the command, too."""
    absent = argparse.SUPPRESS
    parser.add_argument(
        "--mqtt",
        metavar="URL",
        default=absent,
        help="address of the broker, mqtt://HOST:1883 or mqtts://HOST:8883; also CAMERA_AGENT_MQTT",
    )
    parser.add_argument(
        "--mqtt-prefix",
        metavar="PREFIX",
        default=absent,
        help="first levels of all topics; also CAMERA_AGENT_MQTT_PREFIX",
    )
    parser.add_argument(
        "--mqtt-user", metavar="USER", default=absent, help="user at the broker; also CAMERA_AGENT_MQTT_USER"
    )
    parser.add_argument(
        "--mqtt-server-name",
        metavar="NAME",
        default=absent,
        help="name in the broker's certificate; also CAMERA_AGENT_MQTT_SERVER_NAME",
    )
    for flag, text in (
        ("--mqtt-key-file", "file with the key that signs calls: of an agent, or of the fleet"),
        ("--mqtt-password-file", "file with the password at the broker"),
        ("--mqtt-ca-file", "certificates (PEM) of the authorities to trust"),
        ("--mqtt-certificate-file", "certificate (PEM) of this client"),
        ("--mqtt-certificate-key-file", "private key (PEM) of this client's certificate"),
    ):
        variable = f"CAMERA_AGENT_{flag[2:].upper().replace('-', '_')}"
        parser.add_argument(flag, type=Path, metavar="FILE", default=absent, help=f"{text}; also {variable}")


def _list(arguments: argparse.Namespace, output: "CommandOutput") -> int:
    from mqtt_bridge.fleet.commands.list import run_list

    return run_list(arguments, output)


def _call(arguments: argparse.Namespace, output: "CommandOutput") -> int:
    from mqtt_bridge.fleet.commands.call import run_call

    return run_call(arguments, output)


def _snapshot(arguments: argparse.Namespace, output: "CommandOutput") -> int:
    from mqtt_bridge.fleet.commands.snapshot import run_snapshot

    return run_snapshot(arguments, output)


def _watch(arguments: argparse.Namespace, output: "CommandOutput") -> int:
    from mqtt_bridge.fleet.commands.watch import run_watch

    return run_watch(arguments, output)


def _new_key(arguments: argparse.Namespace, output: "CommandOutput") -> int:
    from mqtt_bridge.fleet.commands.keys import run_new_key

    return run_new_key(arguments, output)


def _agent_key(arguments: argparse.Namespace, output: "CommandOutput") -> int:
    from mqtt_bridge.fleet.commands.keys import run_agent_key

    return run_agent_key(arguments, output)
