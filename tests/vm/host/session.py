"""Sessions in the machine: one command, or the tests with a reboot between."""

import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.vm.host.image import ensure_image
from tests.vm.host.machine import Machine
from tests.vm.host.shell import Stopwatch, say
from tests.vm.host.sites import checkout_disk, ensure_site_disk

__all__ = ("Laboratory", "summary")

TESTS = "tests/vm/guest"
#: Mark of the tests for the second boot, which find files of the first boot in the folder `kept`.
SECOND_BOOT = "after_reboot"
#: Exit status of pytest if no test was selected.
NOTHING_TO_DO = 5


@dataclass(frozen=True, slots=True)
class Laboratory:
    """Machine that is ready to boot, with the time limit of one boot."""

    machine: Machine
    timeout_s: float

    @classmethod
    def prepare(cls, suite: str, share: Path, *, timeout_s: float, rebuild: bool = False) -> "Laboratory":
        """Build the image and the disks, ready to boot; create `share` if it is missing."""
        image = ensure_image(suite, rebuild=rebuild)
        site = ensure_site_disk(image)
        share.mkdir(parents=True, exist_ok=True)
        checkout = share.with_name(f"{share.name}.checkout.ext4")
        checkout_disk(image, checkout)
        return cls(Machine(image, site, checkout, share.resolve()), timeout_s)

    def command(self, line: str, user: str) -> int:
        as_user = "" if user == "root" else f"runuser --user {shlex.quote(user)} -- "
        return self.machine.run(f"{as_user}bash -c {shlex.quote(line)}", timeout_s=self.timeout_s)

    def test(self, words: Sequence[str], users: Sequence[str], *, release: bool) -> int:
        """Run pytest in the machine for each user, then reboot for the tests marked `after_reboot`.

        Writes results to the share: `results/USER-BOOT.xml`, and `results/boot-BOOT` with the console and the journal.
        """
        watch = Stopwatch()
        for name in ("results", "kept"):
            shutil.rmtree(self.machine.share / name, ignore_errors=True)
            (self.machine.share / name).mkdir()
        worst = self._boot(1, words, users, f"not {SECOND_BOOT}", release=release)
        if any((self.machine.share / "kept").glob("*/*")):
            worst = max(worst, self._boot(2, words, users, SECOND_BOOT, release=release))
        say(f"{summary(self.machine.share / 'results')}; {watch.elapsed_s:.0f} s")
        return worst

    def _boot(
        self, number: int, words: Sequence[str], users: Sequence[str], marks: str, *, release: bool
    ) -> int:
        if not release:
            marks += " and not release"
        selection = shlex.join(["-m", marks, *(words or [TESTS])])
        line = f"bash tests/vm/guest/session {number} {','.join(users)} {selection}"
        status = self.machine.run(line, timeout_s=self.timeout_s)
        shutil.copytree(self.machine.control, self.machine.share / f"results/boot-{number}")
        return 0 if status == NOTHING_TO_DO and number > 1 else status


def summary(results: Path) -> str:
    """Return the number of tests and of their outcomes in the reports of `results`, and which reports are torn."""
    counts = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    cut_off = []
    for path in sorted(results.glob("*.xml")):
        try:
            report = ET.parse(path)  # noqa: S314 - our own pytest wrote it
        except ET.ParseError:
            cut_off.append(f"{path.name} is empty or torn: that run was cut off")
            continue
        for suite in report.iter("testsuite"):
            for name in counts:
                counts[name] += int(suite.get(name, 0))
    return ", ".join([*(f"{count} {name}" for name, count in counts.items()), *cut_off])
