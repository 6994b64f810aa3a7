"""Sections of the configuration: frozen models with default and meaning of each key. Unknown keys are refused.

The keys marked HOT are those that `agent_core.app.reload` changes while the agent runs; the others need a restart.
"""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from agent_core.config.hot import HOT
from agent_core.config.plugins import PluginsConfig
from agent_core.config.views import ViewsConfig

__all__ = (
    "AgentConfig",
    "AuthConfig",
    "FfmpegConfig",
    "HealthConfig",
    "LoggingConfig",
    "MediaServerConfig",
    "RecordingsConfig",
    "ServerConfig",
    "SnapshotsConfig",
    "StorageConfig",
    "ThumbnailsConfig",
)

#: No disk is larger than the maximum, and the bytes of a much larger number overflow. The same holds for times: 10^9 seconds
#: are 31 years, and what is derived from much longer ones overflows, as do the waits for a much lower rate. Loops would not rest
#: between much shorter times.
_MOST, _LEAST = 10**9, 0.001
Gigabytes = Annotated[float, Field(gt=0, le=_MOST)]
Seconds = Annotated[float, Field(ge=_LEAST, le=_MOST)]
Days = Annotated[float, Field(gt=0, le=36_500)]
Port = Annotated[int, Field(ge=0, le=65535)]


class _Section(BaseModel):
    # `AgentConfig` builds the schemas of all sections at once; each on its own would cost as much again at every start.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, allow_inf_nan=False)


class ServerConfig(_Section):
    """Address, limits and TLS of the server for clients."""

    host: str = Field("127.0.0.1", description="address to listen on; use TLS for any but loopback")
    port: Port = Field(8002, description="port for WebSocket and HTTP; 0 takes a free port")
    allowed_origins: Annotated[tuple[str, ...], HOT] = Field(
        (),
        description='allowed browser origins besides the agent\'s own; a trailing "*" matches any rest; "null" is a local file',
    )
    max_connections: Annotated[int, HOT] = Field(
        1000, ge=1, description="open connections at once; fewer if the limit of file descriptors is low"
    )
    max_connections_per_address: Annotated[int, HOT] = Field(
        100, ge=1, description="open connections from one address"
    )
    max_unauthenticated_connections: Annotated[int, HOT] = Field(
        100,
        ge=1,
        description="open connections without authentication; beyond this, the oldest of them is closed",
    )
    max_message_bytes: Annotated[int, HOT] = Field(1 << 20, ge=1024, description="size limit of one message")
    max_unauthenticated_message_bytes: Annotated[int, HOT] = Field(
        32_768,
        ge=8192,
        description="size limit of one message before authenticate",
    )
    max_calls: Annotated[int, HOT] = Field(32, ge=1, description="calls that run at once on one connection")
    max_queued_events: Annotated[int, HOT] = Field(
        256, ge=1, description="events queued for a slow client; beyond this, the oldest are dropped"
    )
    event_journal_bytes: Annotated[int, HOT] = Field(
        1 << 20, ge=0, description="memory for the newest events, which clients get after a lost connection"
    )
    ping_interval_s: Annotated[Seconds, HOT] = Field(
        20.0, description="interval of keep-alive pings to each client"
    )
    first_request_s: Annotated[Seconds, HOT] = Field(
        10.0, description="time after which a connection without a complete request is closed"
    )
    stall_s: Annotated[Seconds, HOT] = Field(
        10.0, description="time after which a client that reads nothing is disconnected"
    )
    tls_certificate: Path | None = Field(
        None, description="PEM file of the certificate; with tls_key, the server uses wss and https"
    )
    tls_key: Path | None = Field(None, description="PEM file of the certificate's key")


class AuthConfig(_Section):
    """Lifetime of tokens, limits on calls and failed authentication."""

    token_lifetime_s: Annotated[Seconds, HOT] = Field(
        86_400.0, description="validity of tokens made by `token create`, and of those that login links give"
    )
    keys_over_network: bool = Field(
        default=False,
        description="true: admins may create API keys with create_api_key, not only on this host",
    )
    calls_per_s: Annotated[float, HOT] = Field(
        100.0, ge=_LEAST, le=_MOST, description="sustained calls per second of one user at one address"
    )
    calls_burst: Annotated[int, HOT] = Field(200, ge=1, description="largest burst of calls above that rate")
    failures_per_minute: Annotated[int, HOT] = Field(
        10, ge=1, description="failed attempts from one address before it must wait"
    )


class LoggingConfig(_Section):
    """Log on standard error."""

    level: Annotated[Literal["debug", "info", "warning", "error"], HOT] = Field(
        "info", description="lowest level that is logged"
    )
    format: Annotated[Literal["text", "json"], HOT] = Field(
        "text", description="one line, or one JSON object, per record"
    )


def _state_home() -> Path:
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "camera-agent"


def _runtime_home() -> Path:
    base = os.environ.get("XDG_RUNTIME_DIR")
    return Path(base) / "camera-agent" if base else Path(f"/tmp/camera-agent-{os.getuid()}")  # noqa: S108 - made 0700


class StorageConfig(_Section):
    """Folders of the agent. The state folder also holds the stored media, unless other folders are set for them."""

    state_dir: Path = Field(
        default_factory=_state_home, description="folder of the secret, the ledger and the stored media"
    )
    runtime_dir: Path = Field(
        default_factory=_runtime_home, description="folder of sockets; needs a short path; one per agent"
    )
    snapshots_dir: Path | None = Field(
        None, description="folder of snapshots; default: snapshots in the state folder"
    )
    recordings_dir: Path | None = Field(
        None, description="folder of recordings; default: recordings in the state folder"
    )
    min_free_bytes: Annotated[Annotated[int, Field(ge=0)] | None, HOT] = Field(
        None,
        description="free space on the disk for recordings below which no recording starts; default: 256 MiB, or 5 % of a disk smaller than 5 GiB; 0: no floor",
    )

    @property
    def snapshots(self) -> Path:
        return self.snapshots_dir or self.state_dir / "snapshots"

    @property
    def recordings(self) -> Path:
        return self.recordings_dir or self.state_dir / "recordings"

    @property
    def local_socket(self) -> Path:
        """Socket for commands on this host, exempt from the limits on other clients."""
        return self.runtime_dir.absolute() / "agent.sock"

    @property
    def secret_file(self) -> Path:
        """The key that signs tokens; its readers can make themselves administrators."""
        return self.state_dir / "secret"

    @property
    def api_keys_file(self) -> Path:
        """Hashes of the API keys, with the role of each, and the keys that sign calls."""
        return self.state_dir / "api-keys.json"

    @property
    def used_nonces_file(self) -> Path:
        """Nonces of the signed calls that have not ended."""
        return self.state_dir / "used-nonces"

    @property
    def revoked_tokens_file(self) -> Path:
        """Ids of the tokens that are valid no longer."""
        return self.state_dir / "revoked-tokens.json"

    @property
    def view_links_file(self) -> Path:
        """Hashes of the view links."""
        return self.state_dir / "view-links.json"

    @property
    def endpoint_file(self) -> Path:
        """File of `agent_core.app.machine.Announcement`, which tells commands on this host the agent's address."""
        return self.state_dir / "endpoint.json"


class SnapshotsConfig(_Section):
    """Defaults and limits of snapshots."""

    max_age_ms: Annotated[int, HOT] = Field(500, ge=0, description="default of take_snapshot's max_age_ms")
    deadline_ms: Annotated[int, HOT] = Field(
        10_000, ge=1, description="default of take_snapshot's deadline_ms"
    )
    quality: Annotated[int, HOT] = Field(
        90, ge=1, le=100, description="JPEG quality of pictures that the agent encodes"
    )
    max_pixels: int = Field(
        1 << 26,
        ge=1,
        le=178_956_970,  # Pillow refuses more
        description="most pixels of a picture to convert, and of all pictures that are converted at once",
    )
    tier_budget_s: tuple[Seconds, Seconds, Seconds, Seconds] = Field(
        (5.0, 6.0, 6.0, 10.0),
        description="longest time for one capture by tiers of rank 0, 1, 2, 3; less while other tiers need the rest of the deadline",
    )
    max_age_days: Annotated[Days | None, HOT] = Field(
        None, description="age at which stored snapshots are deleted; default: never"
    )
    max_count: Annotated[Annotated[int, Field(ge=1)] | None, HOT] = Field(
        None, description="most stored snapshots per camera; the oldest are deleted; default: no limit"
    )
    max_size_gb: Annotated[Gigabytes | None, HOT] = Field(
        None,
        description="most gigabytes (10^9 bytes) of all snapshots; the oldest are deleted; default: no limit",
    )


class ThumbnailsConfig(_Section):
    """Thumbnails of stored snapshots and recordings."""

    width: int = Field(320, ge=16, le=1920, description="width in pixels; smaller pictures are not enlarged")
    max_bytes: int = Field(
        64 << 20,
        ge=0,
        le=1 << 28,
        description="limit of the space of all stored thumbnails; beyond it, the one that was used least recently is removed",
    )


class FfmpegConfig(_Section):
    """FFmpeg program of tiers and publishers."""

    program: str | None = Field(
        None, description="path of FFmpeg; default: from PATH, else from the package imageio-ffmpeg"
    )


class MediaServerConfig(_Section):
    """Media server, and the addresses of its streams."""

    mode: Literal["embedded", "managed", "external"] = Field(
        "embedded",
        description="embedded: the plugin embedded_server, if enabled; managed: a MediaMTX that the agent runs; external: a MediaMTX that runs already",
    )
    publishers: Literal["server", "agent"] = Field(
        "server",
        description="which program runs the FFmpegs that publish cameras: the agent, or the media server, which must then run on this host and have access to storage.runtime_dir",
    )
    program: str = Field(
        "mediamtx", min_length=1, description="managed: path of MediaMTX, or its name on PATH"
    )
    listen: Literal["loopback", "all"] = Field(
        "loopback", description="managed: addresses that serve streams; all needs read_user"
    )
    api_port: Port = Field(9997, description="managed: port of the API, on loopback; 0 takes a free port")
    rtsp_port: Port = Field(8554, description="managed: port of RTSP; 0 takes a free port")
    protocols: tuple[Literal["hls", "webrtc"], ...] = Field(
        ("hls", "webrtc"), description="managed: protocols served besides RTSP"
    )
    webrtc_udp_port: Port = Field(8189, description="managed: port of WebRTC's media; 0 takes a free port")
    hang_timeout_s: Seconds = Field(
        30.0,
        description="managed: time after which a media server that runs but does not answer is restarted",
    )
    read_user: str | None = Field(
        None,
        pattern=r"^[0-9A-Za-z._-]{1,64}$",
        description="managed: user who may read streams; default: all users of this host",
    )
    read_password: SecretStr | None = Field(None, description="managed: password of read_user")
    api_url: str = Field("http://127.0.0.1:9997", description="external: URL of its API")
    rtsp_url: str = Field("rtsp://127.0.0.1:8554", description="external: URL of its RTSP server")
    shares_recordings: bool | None = Field(
        None,
        description="external: true if it writes to this host's folder of recordings; default: true if api_url is an address of this host",
    )
    user: str | None = Field(None, description="external: user for the API and for reading streams")
    password: SecretStr | None = Field(None, description="external: password of user")
    host: Annotated[str, HOT] = Field("127.0.0.1", description="host in stream URLs")
    hls_port: Annotated[Port, HOT] = Field(8888, description="port in HLS URLs; managed: 0 takes a free port")
    webrtc_port: Annotated[Port, HOT] = Field(
        8889, description="port in WebRTC URLs; managed: 0 takes a free port"
    )
    close_after_s: Seconds = Field(10.0, description="time after which a stream without readers ends")
    start_timeout_s: Seconds = Field(
        10.0, description="time after which a stream that is not live has failed"
    )

    @model_validator(mode="after")
    def _readers_are_known(self) -> "MediaServerConfig":
        password = self.read_password.get_secret_value() if self.read_password else ""
        if (self.read_user is None) is not (password == ""):
            raise ValueError("set both read_user and read_password, or neither")
        if self.read_user == "any":
            raise ValueError("read_user cannot be 'any', which means all users")
        if self.mode == "managed" and self.listen == "all" and self.read_user is None:
            raise ValueError("listen = 'all' needs read_user and read_password")
        return self


class RecordingsConfig(_Section):
    """Files and limits of recordings."""

    segment_duration_s: Seconds = Field(3600.0, description="length of one file of a recording")
    part_duration_s: Seconds = Field(
        0.25,
        description="length of a fragment: the most that a crash of the agent or of the media server loses",
    )
    start_timeout_s: Seconds = Field(
        15.0, description="time after which a recording without a picture is reported by recording.error"
    )
    stall_s: Seconds = Field(
        8.0, description="time after which a recording that does not grow is reported by recording.error"
    )
    on_stop: Literal["resume", "end"] = Field(
        "resume",
        description="recordings under way when the agent stops; resume: continue at the next start; end: end for good",
    )
    resume_within_s: Seconds = Field(
        3600.0,
        description="time within which an interrupted recording must continue; after that it is ended",
    )
    max_age_days: Annotated[Days | None, HOT] = Field(
        None, description="age at which finished recordings are deleted; default: never"
    )
    max_count: Annotated[Annotated[int, Field(ge=1)] | None, HOT] = Field(
        None, description="most finished recordings per camera; the oldest are deleted; default: no limit"
    )
    max_size_gb: Annotated[Gigabytes | None, HOT] = Field(
        None,
        description="most gigabytes (10^9 bytes) of all recordings; the oldest finished ones are deleted; default: no limit",
    )


class HealthConfig(_Section):
    """Watchdog of the agent, quarantine of plugins, and probes of the media server."""

    watchdog_s: float = Field(
        30.0,
        ge=1,
        description="time after which the agent ends itself if its event loop is blocked; at most three quarters of systemd's WatchdogSec",
    )
    quarantine: Literal["spare_last_source", "always", "never"] = Field(
        "spare_last_source",
        description="for plugins that made the watchdog end the agent three times in ten minutes; always: do not load them; never: load them; spare_last_source: load them only if no other plugin provides cameras",
    )

    failures: int = Field(
        2, ge=1, description="failed probes in a row after which the media server is broken"
    )
    successes: int = Field(2, ge=1, description="successful probes in a row after which it is healthy again")
    probe_timeout_s: Seconds = Field(1.0, description="time limit of a probe")
    probe_idle_s: Seconds = Field(10.0, description="time between probes while no stream is live")
    probe_live_s: Seconds = Field(2.0, description="time between probes while a stream is live")
    probe_open_s: Seconds = Field(1.0, description="time between probes while the media server is broken")
    low_space_bytes: Annotated[int, HOT] = Field(
        1 << 30, ge=0, description="free space below which health reports a warning"
    )
    breaker_failures: int = Field(5, ge=1, description="failed calls that open the circuit breaker")
    breaker_window_s: Seconds = Field(10.0, description="time within which these calls must fail")
    breaker_first_open_s: Seconds = Field(
        2.0, description="time from opening to the first test call; doubles while tests fail"
    )
    breaker_longest_open_s: Seconds = Field(30.0, description="longest time between test calls")


class AgentConfig(_Section):
    """The whole configuration. Only the composition root uses it; other parts receive their sections."""

    server: ServerConfig = ServerConfig()
    auth: AuthConfig = AuthConfig()
    logging: LoggingConfig = LoggingConfig()
    storage: StorageConfig = Field(default_factory=StorageConfig)
    snapshots: SnapshotsConfig = SnapshotsConfig()
    thumbnails: ThumbnailsConfig = ThumbnailsConfig()
    views: ViewsConfig = ViewsConfig()
    ffmpeg: FfmpegConfig = FfmpegConfig()
    media_server: MediaServerConfig = MediaServerConfig()
    recordings: RecordingsConfig = RecordingsConfig()
    health: HealthConfig = HealthConfig()
    plugins: PluginsConfig = PluginsConfig()
