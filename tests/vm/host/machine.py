"""Boot of the machine for one command, with its output and exit status."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from tests.vm.host.image import Image
from tests.vm.host.shell import Stopwatch, VmError, say

__all__ = ("Machine",)

KERNEL_ARGUMENTS = (
    "console=ttyS0 root=/dev/vda net.ifnames=0 mitigations=off nokaslr panic=-1 quiet loglevel=4 audit=0 "
    "systemd.show_status=false random.trust_cpu=on no_timer_check rcupdate.rcu_expedited=1 "
    # A busy host distorts the boot's calibration of the emulated time stamp counter: clocks would run too fast.
    "clocksource=hpet tsc=unstable "
    # Simulated USB ports resume wrongly beside each other: the kernel's driver (usbip's vhci_hcd) has one state for all.
    "usbcore.autosuspend=-1"
)
TIMED_OUT = 124


@dataclass(frozen=True, slots=True)
class Machine:
    """Virtual machine that starts from the image at each boot; only files in the share persist.

    `share` is /mnt/share in the machine; its folder `.vm` contains the console, the output and the journal. A `root_disk` of the
    machine's own, made from the image's, persists as well, as far as the machine wrote to it. `ports` are serial lines,
    /dev/virtio-ports/NAME in the machine: QEMU listens at the unix socket for one connection at a time. `spare_disks` are
    /dev/vdd and so on.
    """

    image: Image
    site_disk: Path
    checkout_disk: Path
    share: Path
    memory_mb: int = 1536
    processors: int = 2
    environment: dict[str, str] = field(default_factory=dict)
    root_disk: Path | None = None
    ports: dict[str, Path] = field(default_factory=dict)
    spare_disks: tuple[Path, ...] = ()

    @property
    def control(self) -> Path:
        return self.share / ".vm"

    def run(self, command: str, *, timeout_s: float) -> int:
        """Boot, run a shell command as root in the checkout, and power off; return the command's exit status.

        Prints its output while it runs. Returns 124 after `timeout_s`.

        Raises:
            VmError: the machine ended without a status; the text has the end of the console's log.
        """
        control = self.control
        self.leave(command)
        watch = Stopwatch()
        try:
            subprocess.run(self.argv(), stdin=subprocess.DEVNULL, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired:
            say(f"timed out after {timeout_s:.0f} s; see {control / 'console.log'}")
            return TIMED_OUT
        status = control / "status"
        if not status.exists():
            raise VmError(
                f"the machine ended without an exit status; end of its console:\n{_end_of(control / 'console.log')}"
            )
        booted, ended = (float((control / name).read_text()) for name in ("booted_s", "ended_s"))
        say(f"booted in {booted:.1f} s, ran for {ended - booted:.1f} s, {watch.elapsed_s:.1f} s in all")
        return int(status.read_text())

    def leave(self, command: str) -> None:
        """Leave the shell command for the next boot in the share, without the results of the last one."""
        shutil.rmtree(self.control, ignore_errors=True)
        self.control.mkdir(parents=True)
        exports = "".join(f"export {name}={_quoted(value)}\n" for name, value in self.environment.items())
        (self.control / "command").write_text(f"{exports}{command}\n")

    def argv(self) -> list[str]:
        """Return the command line of QEMU, which ends when the process that starts it does."""
        accelerator, processor = _acceleration()
        return [
            *("setpriv", "--pdeathsig", "KILL", "--"),  # ends the machine if the run is killed
            *("qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot", "-sandbox", "on"),
            *("-machine", "q35,usb=off,vmport=off,smbus=off,sata=off", "-display", "none", "-vga", "none"),
            *("-accel", accelerator, "-cpu", processor),
            *("-smp", str(self.processors), "-m", str(self.memory_mb)),
            *("-kernel", str(self.image.kernel), "-initrd", str(self.image.initrd)),
            *("-append", KERNEL_ARGUMENTS),
            *self._root_disk(),
            *_disk("site", self.site_disk, "readonly=on"),
            *_disk("checkout", self.checkout_disk, "readonly=on"),
            *(word for path in self.spare_disks for word in _disk(path.stem, path, "cache=unsafe")),
            *(
                "-chardev",
                f"file,id=console,path={self.control / 'console.log'}",
                "-serial",
                "chardev:console",
            ),
            *("-device", "virtio-serial-pci", "-chardev", "stdio,id=output,signal=off"),
            *("-device", "virtconsole,chardev=output"),
            *("-fsdev", f"local,id=share,path={self.share},security_model=none"),
            *("-device", "virtio-9p-pci,fsdev=share,mount_tag=share", "-device", "virtio-rng-pci"),
            *(word for name, path in self.ports.items() for word in _port(name, path)),
        ]

    def _root_disk(self) -> list[str]:
        if self.root_disk is None:
            return _disk("root", self.image.disk, "snapshot=on,cache=unsafe")
        # What the machine wrote is in the host's cache, and so survives QEMU's end even without being flushed.
        return _disk("root", self.root_disk, "cache=unsafe")


def _disk(name: str, path: Path, options: str) -> list[str]:
    # The order of the calls determines /dev/vda, /dev/vdb, /dev/vdc.
    drive = f"if=none,id={name},file={path},format=raw,{options}"
    return ["-drive", drive, "-device", f"virtio-blk-pci,drive={name}"]


def _port(name: str, path: Path) -> list[str]:
    chardev = f"socket,id={name},path={path},server=on,wait=off"
    return ["-chardev", chardev, "-device", f"virtserialport,chardev={name},name={name}"]


def _acceleration() -> tuple[str, str]:
    """Return accelerator and processor; KVM only with hardware support: a paravirtual /dev/kvm runs no ordinary kernel."""
    flags = re.search(r"^flags\s*:.*\b(vmx|svm)\b", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    if flags and os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "kvm", "host"
    return "tcg,thread=multi,tb-size=256", "max,la57=off"


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "'\\''") + "'"


def _end_of(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-25:]) if log.exists() else "no console"
