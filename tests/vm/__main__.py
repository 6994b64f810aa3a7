"""Command line of the laboratory; see `tests/vm/run --help`."""

import argparse
import shlex
import sys
from pathlib import Path

from tests.vm.host.folders import CHECKOUT, locked
from tests.vm.host.image import ensure_image
from tests.vm.host.prerequisites import CannotRunHere, ensure_installed
from tests.vm.host.session import Laboratory
from tests.vm.host.shell import VmError, say

#: Time limits of one boot. A quiet machine needs a third of it; tests marked `release` may take an hour.
TIMEOUT_S = 2400.0
RELEASE_TIMEOUT_S = 7200.0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tests/vm/run", description="Run a command or the tests in the virtual machine."
    )
    parser.add_argument("--suite", default="bookworm", help="Debian release of the machine (%(default)s)")
    parser.add_argument("--as", dest="users", default="root", help="users, separated by commas (%(default)s)")
    parser.add_argument(
        "--share", type=Path, help="host folder to mount as /mnt/share; its other content is kept"
    )
    parser.add_argument(
        "--timeout",
        type=float,
        help=f"time limit of one boot in seconds ({TIMEOUT_S:g}, {RELEASE_TIMEOUT_S:g})",
    )
    parser.add_argument(
        "--rebuild", action="store_true", help="build the image even if its sources are unchanged"
    )
    parser.add_argument("--image", action="store_true", help="only build the image, if it is out of date")
    parser.add_argument(
        "--tests", action="store_true", help="pass the words to pytest; default: all tests of the machine"
    )
    parser.add_argument("--release", action="store_true", help="include the tests marked `release`")
    parser.add_argument("words", nargs="*", help="the command (after --)")
    return parser


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    try:
        ensure_installed()
    except CannotRunHere as reason:
        print(f"SKIPPED(vm): {reason}", flush=True)  # noqa: T201 - the only output of such a run
        return 0
    try:
        if options.image:
            ensure_image(options.suite, rebuild=options.rebuild)
            return 0
        return _session(options)
    except VmError as error:
        say(str(error))
        return 1


def _session(options: argparse.Namespace) -> int:
    """Boot the machine and run the words in it; return their exit status."""
    share = options.share or CHECKOUT / ".cache/vm/runs" / options.suite
    timeout_s = options.timeout or (RELEASE_TIMEOUT_S if options.release else TIMEOUT_S)
    with locked(share):
        laboratory = Laboratory.prepare(options.suite, share, timeout_s=timeout_s, rebuild=options.rebuild)
        if options.tests:
            return laboratory.test(options.words, options.users.split(","), release=options.release)
        return laboratory.command(shlex.join(options.words) or "true", options.users)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
