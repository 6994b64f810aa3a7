"""Places of live views: how many may be open at once. Decides without I/O."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from agent_core.base.errors import RateLimited
from agent_core.config import ViewsConfig

__all__ = ("Places",)

#: Proposed to a client that got no place.
_RETRY_MS = 5000


class Places:
    """Places of all live views of one agent: limited in all, per camera and per address."""

    def __init__(self, config: ViewsConfig) -> None:
        self._config = config
        self._cameras: Counter[str] = Counter()
        self._addresses: Counter[str] = Counter()

    def __len__(self) -> int:
        return self._cameras.total()

    def by_camera(self) -> Mapping[str, int]:
        """Return the number of open live views of each camera that has some."""
        return dict(self._cameras)

    def configure(self, config: ViewsConfig) -> None:
        """Apply other limits to views that come from now on; those beyond them stay until they end."""
        self._config = config

    @contextmanager
    def take(self, camera: str, address: str) -> Iterator[None]:
        """Take a place while the context is open.

        Args:
            camera: id of the camera.
            address: the peer's address, as limits count it; empty for the local socket, which has no such limit.

        Raises:
            RateLimited: `too_many_views`.
        """
        self._refuse_full(camera, address)
        self._cameras[camera] += 1
        self._addresses[address] += 1
        try:
            yield
        finally:
            for counter, key in ((self._cameras, camera), (self._addresses, address)):
                counter[key] -= 1
                if not counter[key]:
                    del counter[key]

    def _refuse_full(self, camera: str, address: str) -> None:
        config = self._config
        if len(self) >= config.max_live:
            where, setting = "in all", "views.max_live"
        elif self._cameras[camera] >= config.max_live_per_camera:
            where, setting = f"of {camera}", "views.max_live_per_camera"
        elif address and self._addresses[address] >= config.max_live_per_address:
            where, setting = "from this address", "views.max_live_per_address"
        else:
            return
        raise RateLimited(
            f"Too many live views {where} are open; {setting} is the limit.",
            retry_after_ms=_RETRY_MS,
            reason="too_many_views",
        )
