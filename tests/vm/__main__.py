"""The laboratory's command line: `tests/vm/run --help`."""

import argparse
import shlex
import sys
from pathlib import Path

from tests.vm.host.folders import CHECKOUT, locked
from tests.vm.host.image import ensure_image
from tests.vm.host.prerequisites import CannotRunHere, ensure_installed
from tests.vm.host.session import Laboratory
from tests.vm.host.shell import VmError, say

#: A boot that takes longer has stopped; tests that are marked `release` may take an hour.
TIMEOUT_S = 1200.0
RELEASE_TIMEOUT_S = 7200.0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tests/vm/run", description="Run something in the virtual machine.")
    parser.add_argument("--suite", default="bookworm", help="Debian release of the machine (%(default)s)")
    parser.add_argument("--as", dest="users", default="root", help="users, with commas between (%(default)s)")
    parser.add_argument("--share", type=Path, help="folder that is /mnt/share in the machine; kept as it is")
    parser.add_argument(
        "--timeout", type=float, help=f"seconds of a boot ({TIMEOUT_S:g}, {RELEASE_TIMEOUT_S:g})"
    )
    parser.add_argument(
        "--rebuild", action="store_true", help="build the image even if its sources are the same"
    )
    parser.add_argument("--image", action="store_true", help="build the image, if it is needed, and stop")
    parser.add_argument(
        "--tests", action="store_true", help="the words are for pytest, default: all tests of the machine"
    )
    parser.add_argument("--release", action="store_true", help="with the tests that are marked `release`")
    parser.add_argument("words", nargs="*", help="the command (after --)")
    return parser


def main(arguments: list[str]) -> int:
    options = _parser().parse_args(arguments)
    try:
        ensure_installed()
    except CannotRunHere as reason:
        print(f"SKIPPED(vm): {reason}", flush=True)  # noqa: T201 - of a run that is all there is to say
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
    """Boot it and run the words in it; the exit status is theirs."""
    share = options.share or CHECKOUT / ".cache/vm/runs" / options.suite
    timeout_s = options.timeout or (RELEASE_TIMEOUT_S if options.release else TIMEOUT_S)
    with locked(share):
        laboratory = Laboratory.prepare(options.suite, share, timeout_s=timeout_s, rebuild=options.rebuild)
        if options.tests:
            return laboratory.test(options.words, options.users.split(","), release=options.release)
        return laboratory.command(shlex.join(options.words) or "true", options.users)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
