"""Commands `key create`, `key list`, `key change` and `key revoke`."""

import argparse
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from agent_core.cli.commands.tokens import add_lifetime, add_role, user_name
from agent_core.cli.loading import load_settings
from agent_core.cli.local_token import refuse_foreign_state
from agent_core.cli.options import Commands, Parser, add_command
from agent_core.cli.output import iso_time, print_result, table

if TYPE_CHECKING:
    from agent_core.auth.api_keys import ApiKeys
    from agent_core.auth.stored_keys import ApiKey

__all__ = ("add",)


def add(commands: "Commands[Parser]") -> None:
    text = "Create, list, change and revoke API keys; run on the agent's host as its user."
    parser: Parser = commands.add_parser("key", help=text, description=text)
    below = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    create = add_command(below, "create", _create, "Create and print an API key; it is not shown again.")
    add_role(create)
    create.add_argument("--user", type=user_name, required=True, help="user name; one key per user")
    add_lifetime(create, "unlimited")
    add_command(below, "list", _list, "List the users with keys; the keys themselves are not stored.")
    change = add_command(below, "change", _change, "Give a user's key another role; its connections end.")
    change.add_argument("user", type=user_name, help="user name")
    add_role(change)
    revoke = add_command(below, "revoke", _revoke, "Revoke a user's key; its connections and downloads end.")
    revoke.add_argument("user", type=user_name, help="user name")


def _create(arguments: argparse.Namespace) -> int:
    from agent_core.auth.roles import Role

    lifetime_s: int | None = arguments.lifetime_s
    expires_at = None if lifetime_s is None else datetime.now(UTC) + timedelta(seconds=lifetime_s)
    keys = _keys(arguments)
    key = keys.create(arguments.user, Role(arguments.role), expires_at=expires_at)
    value = {"key": key, "user": arguments.user, "role": arguments.role, "expires_at": _end(expires_at)}
    print_result(value, [key], as_json=arguments.json)
    return 0


def _list(arguments: argparse.Namespace) -> int:
    found = [_described(each) for each in _keys(arguments).stored()]
    rows = [
        (each["user"], each["role"], each["created_at"], each["expires_at"] or "never", each["id"])
        for each in found
    ]
    lines = table(("USER", "ROLE", "MADE", "EXPIRES", "ID"), rows) if rows else ["There are no API keys."]
    print_result(found, lines, as_json=arguments.json)
    return 0


def _change(arguments: argparse.Namespace) -> int:
    from agent_core.auth.roles import Role

    _keys(arguments).change_role(arguments.user, Role(arguments.role))
    print_result({"user": arguments.user, "role": arguments.role}, ["Changed."], as_json=arguments.json)
    return 0


def _revoke(arguments: argparse.Namespace) -> int:
    _keys(arguments).revoke(arguments.user)
    print_result({"revoked": arguments.user}, ["Revoked."], as_json=arguments.json)
    return 0


def _described(key: "ApiKey") -> dict[str, str | None]:
    return {
        "id": key.id,
        "user": key.user_id,
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
