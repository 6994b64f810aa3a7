"""Command `link revoke`."""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from agent_core.cli.commands.tokens import credential_in
from agent_core.cli.exits import UsageFailed
from agent_core.cli.loading import load_settings
from agent_core.cli.local_token import refuse_foreign_state
from agent_core.cli.options import Commands, Parser, add_command
from agent_core.cli.output import print_result

if TYPE_CHECKING:
    from agent_core.auth.links import Link
    from agent_core.config import StorageConfig

__all__ = ("add",)


def add(commands: "Commands[Parser]") -> None:
    text = "Revoke signed links; run on the agent's host as its user."
    parser: Parser = commands.add_parser("link", help=text, description=text)
    below = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    revoke = add_command(below, "revoke", _revoke, "Revoke one download_url; its downloads end.")
    # Not the link itself: every user of the host could read it on the command line.
    revoke.add_argument(
        "--file", type=Path, required=True, help="file that contains only the link; - for standard input"
    )


def _revoke(arguments: argparse.Namespace) -> int:
    from agent_core.auth.revocations import RevokedTokens
    from agent_core.base.clock import SystemClock

    storage = load_settings(arguments.config).storage
    refuse_foreign_state(storage)
    link = _signed(credential_in(arguments.file), storage)
    end = datetime.fromtimestamp(int(link.expires), UTC)
    RevokedTokens(storage.revoked_tokens_file, SystemClock()).revoke(link.id, end)
    print_result({"revoked": link.name}, ["Revoked."], as_json=arguments.json)
    return 0


def _signed(url: str, storage: "StorageConfig") -> "Link":
    """Return the link. Raises UsageFailed if this agent has not signed it."""
    from agent_core.auth.links import DownloadLinks, Link
    from agent_core.auth.secret import Secret
    from agent_core.base.clock import SystemClock

    try:
        link = Link.parse(url)
        links = DownloadLinks(Secret.load(storage.secret_file), SystemClock(), is_current=lambda _: True)
        if links.is_live(link):
            return link
    except ValueError:
        pass  # reported below
    raise UsageFailed(
        "This is not a link that this agent has signed.",
        reason="bad_link",
        suggestion="Give a download_url as the agent returned it.",
    )
