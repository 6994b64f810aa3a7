"""Network namespaces without a name: each lasts as long as the file descriptor that holds it.

They need no clean-up, so that a killed test leaves nothing behind, and no names, so that tests can run side by side.
"""

import ctypes
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

__all__ = ("Namespace", "why_unavailable")

#: unshare(2), setns(2).
_CLONE_NEWNET = 0x40000000
_CURRENT = Path("/proc/thread-self/ns/net")
_LIBC = ctypes.CDLL(None, use_errno=True)


def why_unavailable() -> str | None:
    """Return the reason why this process cannot make network namespaces; None if it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    try:
        with Namespace() as tried:
            tried.ip("link add name probe0 type bridge")
    except FileNotFoundError:
        return "network namespaces need ip of iproute2"
    except OSError as error:
        return f"network namespaces are forbidden here: {error}"
    return None


class Namespace:
    """Network namespace of its own, with its loopback interface up; a context that ends with it."""

    def __init__(self) -> None:
        before = os.open(_CURRENT, os.O_RDONLY)
        try:
            _check(_LIBC.unshare(_CLONE_NEWNET))
            self._fd = os.open(_CURRENT, os.O_RDONLY)
            _check(_LIBC.setns(before, _CLONE_NEWNET))
        finally:
            os.close(before)
        # Addresses are usable at once, instead of after the search for duplicates.
        self.set("net/ipv6/conf/all/accept_dad", 0)
        self.set("net/ipv6/conf/default/accept_dad", 0)
        self.ip("link set lo up")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    @property
    def path(self) -> str:
        """Path for programs of iproute2 and util-linux, valid while this process holds the namespace."""
        return f"/proc/{os.getpid()}/fd/{self._fd}"

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Move the calling thread into the namespace; sockets, threads and processes made meanwhile stay in it."""
        before = os.open(_CURRENT, os.O_RDONLY)
        try:
            _check(_LIBC.setns(self._fd, _CLONE_NEWNET))
            try:
                yield
            finally:
                _check(_LIBC.setns(before, _CLONE_NEWNET))
        finally:
            os.close(before)

    def command(self, *argv: str) -> Sequence[str]:
        """Return the command that runs `argv` in the namespace."""
        return ("nsenter", f"--net={self.path}", "--", *argv)

    def ip(self, *commands: str) -> str:
        """Run commands of ip(8), without the word `ip`, and return their output.

        Raises:
            OSError: it refused one of them.
        """
        with self.entered():
            done = subprocess.run(
                ["ip", "-oneline", "-batch", "-"],
                input="\n".join(commands),
                capture_output=True,
                check=False,
                text=True,
            )
        if done.returncode != 0:
            raise OSError(f"ip refuses one of {commands}: {done.stderr.strip()}")
        return done.stdout

    def set(self, name: str, value: int) -> None:
        """Set a variable of the kernel that belongs to the namespace, by its path below `/proc/sys`."""
        with self.entered():
            Path("/proc/sys", name).write_text(str(value))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
