"""Root disk of a machine that gets the packages: the image without what only the other tests need, as Debian sets it up."""

import shutil
from pathlib import Path

from tests.vm.host.image import Image
from tests.vm.host.shell import output_of, run

__all__ = ("own_disk",)

#: The path of the checkout's modules, which the agent of the packages must not find; the masked unit that loads modules for
#: other units; apt's mirror, which cannot be reached; a journal that ends with the machine.
REMOVED = (
    "/usr/lib/python3/dist-packages/camera-agent-vm.pth",
    "/etc/systemd/system/modprobe@.service",
    "/etc/apt/sources.list.d/0000sources.list",
    "/etc/systemd/journald.conf.d/volatile.conf",
)
ADDED = {
    "/etc/apt/sources.list": "deb [trusted=yes] file:/var/local/debs ./\n",
    # The kernel's drivers of cameras come with the first camera, as on a device that has none when it starts.
    "/etc/systemd/system/vm-cameras.service.d/installed.conf": (
        "[Service]\n"
        "Environment=PYTHONPATH=/opt/checkout/site:/opt/site\n"
        "ExecStartPre=\n"
        "ExecStartPre=modprobe vhci-hcd\n"
    ),
}


def own_disk(image: Image, to: Path) -> None:
    """Write a root disk that stands a power cut: with the journal of ext4, which the image lacks."""
    run("cp", "--sparse=always", "--reflink=auto", image.disk, to)
    run("tune2fs", "-O", "has_journal", to)
    scratch = to.with_suffix(".files")
    scratch.mkdir()
    commands = [f"rm {path}" for path in REMOVED]
    for number, (path, text) in enumerate(ADDED.items()):
        (scratch / str(number)).write_text(text)
        folder = Path(path).parent
        if folder.suffix == ".d":
            commands.append(f"mkdir {folder}")
        commands.append(f"write {scratch / str(number)} {path}")
    (scratch / "commands").write_text("\n".join(commands) + "\n")
    run("debugfs", "-w", "-f", scratch / "commands", to)
    shutil.rmtree(scratch)
    # debugfs reports no failure by its exit status.
    for path, text in ADDED.items():
        assert output_of("debugfs", "-R", f"cat {path}", to) == text, path
