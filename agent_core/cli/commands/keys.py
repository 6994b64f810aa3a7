"""Commands `key create`, `key list`, `key change` and `key revoke`."""

import argparse
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from agent_core.cli.commands.tokens import add_lifetime, add_role, credential_in, user_name
from agent_core.cli.loading import load_settings
from agent_core.cli.local_token import refuse_foreign_state
from agent_core.cli.options import Commands, Parser, add_command
from agent_core.cli.output import iso_time, print_result, table

if TYPE_CHECKING:
    from agent_core.auth.api_keys import ApiKeys
    from agent_core.auth.stored_keys import ApiKey, KeyKind

__all__ = ("add",)

#: Values of `KeyKind`, which is not imported before a command needs it.
_KINDS = ("api", "mqtt")


def add(commands: "Commands[Parser]") -> None:
    text = "Create, list, change and revoke API keys; run on the agent's host as its user."
    parser: Parser = commands.add_parser("key", help=text, description=text)
    below = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    create = add_command(below, "create", _create, "Create and print an API key; it is not shown again.")
    add_role(create)
    create.add_argument("--user", type=user_name, required=True, help="user name; one key per user and kind")
    create.add_argument(
        "--kind",
        choices=_KINDS,
        default=_KINDS[0],
        help="api: presented by clients (default); mqtt: signs calls through a broker, and is never sent",
    )
    create.add_argument(
        "--key-file",
        type=Path,
        help="file with an existing key of kind mqtt, such as one made from that of a fleet; `-` is standard input",
    )
    add_lifetime(create, "unlimited")
    add_command(below, "list", _list, "List the users with keys, without the keys themselves.")
    change = add_command(below, "change", _change, "Give a user's key another role; its connections end.")
    change.add_argument("user", type=user_name, help="user name")
    add_role(change)
    _add_kind(change)
    revoke = add_command(below, "revoke", _revoke, "Revoke a user's key; its connections and downloads end.")
    revoke.add_argument("user", type=user_name, help="user name")
    _add_kind(revoke)


def _add_kind(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kind", choices=_KINDS, help="kind of the key, for a user with both")


def _create(arguments: argparse.Namespace) -> int:
    from agent_core.auth.api_keys import NewKey
    from agent_core.auth.roles import Role
    from agent_core.auth.stored_keys import KeyKind

    lifetime_s: int | None = arguments.lifetime_s
    expires_at = None if lifetime_s is None else datetime.now(UTC) + timedelta(seconds=lifetime_s)
    text = None if arguments.key_file is None else credential_in(arguments.key_file)
    wanted = NewKey(arguments.user, Role(arguments.role), KeyKind(arguments.kind), expires_at, text)
    key, stored = _keys(arguments).add(wanted)
    value = {"key": key, "id": stored.id, "user": arguments.user, "kind": arguments.kind}
    value |= {"role": arguments.role, "expires_at": _end(expires_at)}
    line = key if text is None else f"Stored, with the id {stored.id}."
    print_result(value, [line], as_json=arguments.json)
    return 0


def _list(arguments: argparse.Namespace) -> int:
    found = [_described(each) for each in _keys(arguments).stored()]
    columns = ("user", "kind", "role", "created_at", "expires_at", "id")
    rows = [[each[name] or "never" for name in columns] for each in found]
    heads = ("USER", "KIND", "ROLE", "MADE", "EXPIRES", "ID")
    lines = table(heads, rows) if rows else ["There are no API keys."]
    print_result(found, lines, as_json=arguments.json)
    return 0


def _change(arguments: argparse.Namespace) -> int:
    from agent_core.auth.roles import Role

    changed = _keys(arguments).change_role(arguments.user, Role(arguments.role), _kind(arguments))
    value = {"user": arguments.user, "kind": str(changed.kind), "role": arguments.role}
    print_result(value, ["Changed."], as_json=arguments.json)
    return 0


def _revoke(arguments: argparse.Namespace) -> int:
    revoked = _keys(arguments).revoke(arguments.user, _kind(arguments))
    value = {"revoked": arguments.user, "kind": str(revoked.kind)}
    print_result(value, ["Revoked."], as_json=arguments.json)
    return 0


def _kind(arguments: argparse.Namespace) -> "KeyKind | None":
    from agent_core.auth.stored_keys import KeyKind

    return None if arguments.kind is None else KeyKind(arguments.kind)


def _described(key: "ApiKey") -> dict[str, str | None]:
    return {
        "id": key.id,
        "user": key.user_id,
        "kind": str(key.kind),
        "role": str(key.role),
        "created_at": iso_time(key.created_at),
        "expires_at": _end(key.expires_at),
    }


def _end(moment: datetime | None) -> str | None:
    return None if moment is None else iso_time(moment)


def _keys(arguments: argparse.Namespace) -> "ApiKeys":
    from agent_core.auth.api_keys import ApiKeys
    from agent_core.base.clock import SystemClock

    storage = load_settings(arguments.config).storage
    # The file is replaced: an agent of another user could not read the new one, so it would accept no key.
    refuse_foreign_state(storage)
    return ApiKeys(storage.api_keys_file, SystemClock())
