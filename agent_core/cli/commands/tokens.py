"""Commands `token create`, `token link` and `token revoke`."""

import argparse
import getpass
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agent_core.base.small_files import LIMIT_BYTES
from agent_core.cli.access import http_url, read_token
from agent_core.cli.exits import UsageFailed
from agent_core.cli.loading import load_settings
from agent_core.cli.local_token import refuse_foreign_state, secret_of, token_authority
from agent_core.cli.options import Commands, Parser, add_command, number
from agent_core.cli.output import iso_time, print_result

__all__ = ("ROLES", "add", "add_lifetime", "add_role", "credential_in", "own_name", "user_name")

ROLES = ("viewer", "operator", "admin")


_LONGEST_S = 10 * 366 * 86_400


def user_name(text: str) -> str:
    """Return `text`, an argument, if it is a user's name."""
    if not 0 < len(text) <= 200 or not text.isprintable():
        raise argparse.ArgumentTypeError("a user's name has 1 to 200 printable characters")
    return text


def add_role(parser: argparse.ArgumentParser) -> None:
    """Add the required option --role."""
    parser.add_argument("--role", required=True, choices=ROLES, help="permissions of the user")


def add_lifetime(parser: argparse.ArgumentParser, default: str) -> None:
    """Add the option --lifetime-s, None if absent; `default` describes that case in the help."""
    parser.add_argument("--lifetime-s", type=number(int, 1, _LONGEST_S), help=f"seconds; default: {default}")


def add(commands: "Commands[Parser]") -> None:
    text = "Create and revoke tokens; run on the agent's host as its user."
    parser: Parser = commands.add_parser("token", help=text, description=text)
    below = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    create = add_command(
        below, "create", _create, "Create and print a token; run on the agent's host as its user."
    )
    add_role(create)
    create.add_argument("--user", type=user_name, help="user name; default: yours")
    add_lifetime(create, "auth.token_lifetime_s of the configuration")
    link = add_command(
        below,
        "link",
        _link,
        "Print a link to the web console that logs in once, within two minutes; only to a terminal.",
    )
    add_role(link)
    link.add_argument("--user", type=user_name, help="user name; default: yours")
    revoke = add_command(
        below, "revoke", _revoke, "Revoke a token, by its id or a file; its connections and downloads end."
    )
    which = revoke.add_mutually_exclusive_group(required=True)
    which.add_argument("id", nargs="?", type=_token_id, help="id of the token, its claim jti")
    which.add_argument("--file", type=Path, help="file that contains only the token; - for standard input")


def own_name() -> str:
    """Return the name of the user who runs this command, or its number."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())  # a user in a container need not have a name


def _token_id(text: str) -> str:
    """Return `text`, an argument, if it is a token's id."""
    from agent_core.auth.revocations import TOKEN_ID

    if not TOKEN_ID.fullmatch(text):
        raise argparse.ArgumentTypeError("a token's id has 1 to 128 letters, digits and ._:~-")
    return text


def _create(arguments: argparse.Namespace) -> int:
    from agent_core.auth.roles import Role

    config = load_settings(arguments.config)
    lifetime_s = arguments.lifetime_s or int(config.auth.token_lifetime_s)
    user, role = arguments.user or own_name(), Role(arguments.role)
    authority = token_authority(config.storage)
    token = authority.create(user, role, lifetime_s)
    expires_at = datetime.now(UTC) + timedelta(seconds=lifetime_s)
    value = {
        "token": token,
        "user": user,
        "role": str(role),
        "expires_at": iso_time(expires_at),
        "id": authority.examine(token)[0].id,
    }
    print_result(value, [token], as_json=arguments.json)
    return 0


def _link(arguments: argparse.Namespace) -> int:
    if not sys.stdout.isatty():
        raise UsageFailed(
            "A login link is printed to a terminal only: in a file or a log, others could use it first.",
            reason="no_terminal",
            suggestion="Run this command in a terminal.",
        )
    from agent_core.auth.login_codes import LoginCodes
    from agent_core.auth.roles import Role
    from agent_core.base.clock import SystemClock

    config = load_settings(arguments.config)
    codes = LoginCodes(secret_of(config.storage), SystemClock())
    code = codes.create(arguments.user or own_name(), Role(arguments.role))
    link = f"{http_url(config)}#login={code}"
    print_result({"link": link}, [link], as_json=arguments.json)
    return 0


def _revoke(arguments: argparse.Namespace) -> int:
    from agent_core.auth.revocations import RevokedTokens
    from agent_core.base.clock import SystemClock

    storage = load_settings(arguments.config).storage
    refuse_foreign_state(storage)
    token_id, expires_at = arguments.id, None
    if arguments.file is not None:
        claims, _ = token_authority(storage).examine(credential_in(arguments.file))
        token_id, expires_at = claims.id, claims.expires_at
    RevokedTokens(storage.revoked_tokens_file, SystemClock()).revoke(token_id, expires_at)
    print_result({"revoked": token_id}, ["Revoked."], as_json=arguments.json)
    return 0


def credential_in(file: Path) -> str:
    """Return the token or link that the file, or for `-` standard input, contains.

    Raises:
        UsageFailed: the file cannot be read or is empty.
    """
    if file == Path("-"):
        return sys.stdin.read(LIMIT_BYTES).strip()
    return read_token(file)
