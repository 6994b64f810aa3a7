"""Commands `view-link create`, `view-link list` and `view-link revoke`."""

import argparse
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from agent_core.cli.access import http_url
from agent_core.cli.commands.tokens import add_lifetime, own_name, user_name
from agent_core.cli.loading import load_settings
from agent_core.cli.local_token import refuse_foreign_state
from agent_core.cli.options import Commands, Parser, add_command, camera_name
from agent_core.cli.output import iso_time, print_result, table

if TYPE_CHECKING:
    from agent_core.auth.view_links import ViewLink, ViewLinks
    from agent_core.config import StorageConfig

__all__ = ("add",)


def add(commands: "Commands[Parser]") -> None:
    text = (
        "Create, list and revoke view links, which show cameras to dashboards; "
        "run on the agent's host as its user."
    )
    parser: Parser = commands.add_parser("view-link", help=text, description=text)
    below = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    create = add_command(
        below, "create", _create, "Create a view link and print its addresses; they are not shown again."
    )
    which = create.add_mutually_exclusive_group(required=True)
    which.add_argument("camera", nargs="?", help="camera that the link shows, such as camera0")
    which.add_argument("--all", action="store_true", help="the link shows all cameras")
    create.add_argument("--user", type=user_name, help="name of the maker in the list; default: yours")
    add_lifetime(create, "30 days")
    add_command(below, "list", _list, "List the view links; their secrets are not stored.")
    revoke = add_command(below, "revoke", _revoke, "Revoke a view link by its id; what it shows ends.")
    revoke.add_argument("id", help="id of the link, as view-link list shows it")


def _create(arguments: argparse.Namespace) -> int:
    from agent_core.auth.view_links import VIEW_LINK_LIFETIME_S, LinkPaths, NewViewLink
    from agent_core.base.models import CameraId

    camera = None if arguments.all else CameraId(camera_name(arguments.camera))
    config = load_settings(arguments.config)
    base = http_url(config)  # before the link is stored: without an address it would be of no use
    end = datetime.now(UTC) + timedelta(seconds=arguments.lifetime_s or VIEW_LINK_LIFETIME_S)
    wanted = NewViewLink(camera, arguments.user or own_name(), end)
    secret, link = _links(config.storage).create(wanted)
    paths, base = LinkPaths.of(camera, secret), base.rstrip("/")
    live, picture = f"{base}{paths.live}", f"{base}{paths.snapshot}"
    value = {**_described(link), "url": live, "snapshot_url": picture}
    print_result(value, [live, picture], as_json=arguments.json)
    return 0


def _list(arguments: argparse.Namespace) -> int:
    links = _links(load_settings(arguments.config).storage)
    found = [_described(each) for each in links.stored()]
    rows = [
        (each["device"] or "all", each["user"], each["created_at"], each["expires_at"], each["id"])
        for each in found
    ]
    lines = table(("CAMERA", "USER", "MADE", "EXPIRES", "ID"), rows) if rows else ["There are no view links."]
    print_result(found, lines, as_json=arguments.json)
    return 0


def _revoke(arguments: argparse.Namespace) -> int:
    revoked = _links(load_settings(arguments.config).storage).revoke(arguments.id)
    print_result({"revoked": revoked.id}, ["Revoked."], as_json=arguments.json)
    return 0


def _described(link: "ViewLink") -> dict[str, str | None]:
    return {
        "id": link.id,
        "device": link.camera,
        "user": link.user,
        "created_at": iso_time(link.created_at),
        "expires_at": iso_time(link.expires_at),
    }


def _links(storage: "StorageConfig") -> "ViewLinks":
    from agent_core.auth.view_links import ViewLinks
    from agent_core.base.clock import SystemClock

    # The file is replaced: an agent of another user could not read the new one, so it would accept no link.
    refuse_foreign_state(storage)
    return ViewLinks(storage.view_links_file, SystemClock())
