"""Objects that all parts of one agent share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from agent_core.app.reload import Reloads
from agent_core.base.clock import Clock
from agent_core.base.events import EventBus
from agent_core.base.metrics import MetricRegistry
from agent_core.base.tenancy import Tenancy
from agent_core.base.volumes import KnownVolumes, Volume
from agent_core.config import AgentConfig
from agent_core.media.index import INDEX_FILE, MediaIndex

__all__ = ("VOLUMES_FILE", "Foundation", "Volumes")

#: In the state folder.
VOLUMES_FILE = "volumes.json"


@dataclass(frozen=True, slots=True)
class Volumes:
    """Volumes of the recordings and the snapshots, and the memory of both.

    Args:
        link: path by which the media server writes to the recordings; None if it may not be able to use a path
            below the runtime folder.
    """

    known: KnownVolumes
    recordings: Volume
    snapshots: Volume
    link: Path | None

    @classmethod
    def of(
        cls,
        config: AgentConfig,
        known: KnownVolumes,
        *,
        require_state: Callable[[], None] = lambda: None,
        tenancy: Tenancy | None = None,
    ) -> "Volumes":
        """Return the volumes of the configured folders; nothing is read or written yet.

        Args:
            config: names the folders.
            known: the memory of both.
            require_state: raises StorageFailed while the state folder is not there.
            tenancy: keeps other agents out of the recordings.
        """
        storage = config.storage
        # An external server may run under another account or in a container.
        link = (
            None if config.media_server.mode == "external" else storage.runtime_dir.absolute() / "recordings"
        )

        def volume(root: Path, name: str, link: Path | None = None, tenancy: Tenancy | None = None) -> Volume:
            # The state folder is never made again, so nothing in it is while it is gone.
            is_inside = root.absolute().is_relative_to(storage.state_dir.absolute())
            guard = require_state if is_inside else lambda: None
            return Volume(
                root,
                name=name,
                known=known,
                state_dir=storage.state_dir,
                require=guard,
                link=link,
                tenancy=tenancy,
            )

        return cls(
            known,
            volume(storage.recordings, "recordings", link, tenancy),
            volume(storage.snapshots, "snapshots"),
            link,
        )


@dataclass(frozen=True, slots=True)
class Foundation:
    """Configuration and its reloads, event bus, clock, volumes and metrics of one agent; made first, passed to all that builds a part.

    Args:
        require_state: raises StorageFailed while the state folder is not there.
        reloads: gets what each part does at a reload of the configuration.
        tenancy: keeps other agents out of the recordings; default: they are not noticed.
    """

    config: AgentConfig
    events: EventBus
    clock: Clock
    require_state: Callable[[], None] = lambda: None
    reloads: Reloads = field(kw_only=True)
    tenancy: Tenancy | None = None
    volumes: Volumes = field(init=False)
    index: MediaIndex = field(init=False)
    metrics: MetricRegistry = field(init=False, default_factory=MetricRegistry)

    def __post_init__(self) -> None:
        file = self.config.storage.state_dir / VOLUMES_FILE
        volumes = Volumes.of(
            self.config,
            KnownVolumes(file, require=self.require_state),
            require_state=self.require_state,
            tenancy=self.tenancy,
        )
        object.__setattr__(self, "volumes", volumes)
        path = self.config.storage.state_dir / INDEX_FILE
        index = MediaIndex(path, clock=self.clock, require=self.require_state)
        object.__setattr__(self, "index", index)
