"""The configuration's sections: frozen, with their defaults and what each key means. Unknown keys are refused."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

__all__ = (
    "AgentConfig",
    "AuthConfig",
    "FfmpegConfig",
    "HealthConfig",
    "LoggingConfig",
    "MediaServerConfig",
    "PluginsConfig",
    "RecordingsConfig",
    "ServerConfig",
    "SnapshotsConfig",
    "StorageConfig",
)

Seconds = Annotated[float, Field(gt=0)]
Port = Annotated[int, Field(ge=0, le=65535)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ServerConfig(_Section):
    """Where clients connect."""

    host: str = Field("127.0.0.1", description="address to listen on; anything but loopback should have TLS")
    port: Port = Field(8002, description="port for WebSocket and HTTP; 0 takes a free one")
    allowed_origins: tuple[str, ...] = Field(
        (), description='browser origins besides our own; a trailing "*" matches any rest; "null" is a file'
    )
    max_connections: int = Field(
        1000, ge=1, description="open sockets at once; fewer where the limit of file descriptors is low"
    )
    max_connections_per_address: int = Field(100, ge=1, description="open sockets from one address")
    max_unauthenticated_connections: int = Field(
        100, ge=1, description="open sockets without authentication; beyond, the oldest of them is closed"
    )
    max_message_bytes: int = Field(1 << 20, ge=1024, description="size limit of one message")
    max_unauthenticated_message_bytes: int = Field(
        32_768,
        ge=8192,
        description="size limit of one message before authenticate",
    )
    max_calls: int = Field(32, ge=1, description="calls running at once on one connection")
    max_queued_events: int = Field(256, ge=1, description="events held for a client that reads slowly")
    ping_interval_s: Seconds = Field(20.0, description="keep-alive ping to each client")
    first_request_s: Seconds = Field(
        10.0, description="a connection that has sent no complete request by then is closed"
    )
    stall_s: Seconds = Field(
        10.0, description="a client that takes nothing of what it is sent for so long is disconnected"
    )
    tls_certificate: Path | None = Field(
        None, description="PEM file; with tls_key the server speaks wss and https"
    )
    tls_key: Path | None = Field(None, description="PEM file of the certificate's key")


class AuthConfig(_Section):
    """Tokens and limits."""

    token_lifetime_s: Seconds = Field(86_400.0, description="validity of tokens made by `token create`")
    calls_per_s: float = Field(100.0, gt=0, description="sustained call rate of one user at one address")
    calls_burst: int = Field(200, ge=1, description="calls that may come at once")
    failures_per_minute: int = Field(
        10, ge=1, description="failed attempts of one address before it has to wait"
    )


class LoggingConfig(_Section):
    """What is logged, to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="changeable by SIGHUP")
    format: Literal["text", "json"] = Field("text", description="one line, or one JSON object, a record")


def _state_home() -> Path:
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "camera-agent"


def _runtime_home() -> Path:
    base = os.environ.get("XDG_RUNTIME_DIR")
    return Path(base) / "camera-agent" if base else Path(f"/tmp/camera-agent-{os.getuid()}")  # noqa: S108 - made 0700


class StorageConfig(_Section):
    """Folders. The state folder holds the secret, the ledger and, below it, the media unless set otherwise."""

    state_dir: Path = Field(default_factory=_state_home, description="secret, ledger, stored media")
    runtime_dir: Path = Field(
        default_factory=_runtime_home, description="sockets; short, and one for each agent"
    )
    snapshots_dir: Path | None = Field(None, description="default: snapshots in the state folder")
    recordings_dir: Path | None = Field(None, description="default: recordings in the state folder")

    @property
    def snapshots(self) -> Path:
        return self.snapshots_dir or self.state_dir / "snapshots"

    @property
    def recordings(self) -> Path:
        return self.recordings_dir or self.state_dir / "recordings"

    @property
    def local_socket(self) -> Path:
        """Where the command line of this host reaches the agent, outside the limits for everybody else."""
        return self.runtime_dir.absolute() / "agent.sock"

    @property
    def secret_file(self) -> Path:
        """The key that signs tokens; whoever reads it is an administrator."""
        return self.state_dir / "secret"

    @property
    def api_keys_file(self) -> Path:
        """Hashes of the API keys, with the roles that they stand for."""
        return self.state_dir / "api-keys.json"

    @property
    def endpoint_file(self) -> Path:
        """Content of `agent_core.app.machine.Announcement` while the agent runs, for the command line of this host."""
        return self.state_dir / "endpoint.json"


class SnapshotsConfig(_Section):
    """Stills."""

    max_age_ms: int = Field(500, ge=0, description="default of take_snapshot's max_age_ms")
    deadline_ms: int = Field(10_000, ge=1, description="default of take_snapshot's deadline_ms")
    quality: int = Field(90, ge=1, le=100, description="JPEG quality where a picture has to be encoded")
    max_pixels: int = Field(
        1 << 26,
        ge=1,
        le=178_956_970,  # Pillow refuses more
        description="pictures with more are not converted, and all that are converted at once have no more together",
    )
    tier_budget_s: tuple[Seconds, Seconds, Seconds, Seconds] = Field(
        (5.0, 6.0, 6.0, 10.0), description="longest time for a tier of rank 0, 1, 2, 3"
    )


class FfmpegConfig(_Section):
    """The FFmpeg that tiers and publishers run."""

    program: str | None = Field(None, description="default: from PATH, else the imageio-ffmpeg wheel's")


class MediaServerConfig(_Section):
    """The media server, and where clients find its streams."""

    mode: Literal["embedded", "managed", "external"] = Field(
        "embedded",
        description="embedded: the plugin embedded_server, if enabled; managed: a MediaMTX that the agent runs; external: one that runs already",
    )
    publishers: Literal["server", "agent"] = Field(
        "server",
        description="who runs the FFmpegs that publish cameras: the media server, on this host and with access to storage.runtime_dir, or the agent",
    )
    program: str = Field("mediamtx", min_length=1, description="managed: MediaMTX, a path or a name on PATH")
    listen: Literal["loopback", "all"] = Field(
        "loopback", description="managed: addresses for streams; all needs read_user"
    )
    api_port: Port = Field(9997, description="managed: port of the API, on loopback; 0 takes a free one")
    rtsp_port: Port = Field(8554, description="managed: port of RTSP; 0 takes a free one")
    protocols: tuple[Literal["hls", "webrtc"], ...] = Field(
        ("hls", "webrtc"), description="managed: what is served besides RTSP"
    )
    webrtc_udp_port: Port = Field(8189, description="managed: port of WebRTC's media; 0 takes a free one")
    hang_timeout_s: Seconds = Field(
        30.0, description="managed: a media server that runs and does not answer for so long is started again"
    )
    read_user: str | None = Field(
        None,
        pattern=r"^[0-9A-Za-z._-]{1,64}$",
        description="managed: who may read streams; default: everybody on this host",
    )
    read_password: SecretStr | None = Field(None, description="managed: the password of read_user")
    api_url: str = Field("http://127.0.0.1:9997", description="external: its API")
    rtsp_url: str = Field("rtsp://127.0.0.1:8554", description="external: its RTSP")
    shares_recordings: bool | None = Field(
        None,
        description="external: whether it writes into this host's folder of recordings; default: whether api_url is an address of this host",
    )
    user: str | None = Field(None, description="external: user for API and reading")
    password: SecretStr | None = Field(None, description="external: the user's password")
    host: str = Field("127.0.0.1", description="host name in stream URLs")
    hls_port: Port = Field(8888, description="port in HLS URLs; managed: 0 takes a free one")
    webrtc_port: Port = Field(8889, description="port in WebRTC URLs; managed: 0 takes a free one")
    close_after_s: Seconds = Field(10.0, description="a stream without readers ends after so long")
    start_timeout_s: Seconds = Field(10.0, description="a stream that is not live by then has failed")

    @model_validator(mode="after")
    def _readers_are_known(self) -> "MediaServerConfig":
        password = self.read_password.get_secret_value() if self.read_password else ""
        if (self.read_user is None) is not (password == ""):
            raise ValueError("read_user and read_password are set together or not at all")
        if self.read_user == "any":
            raise ValueError("read_user cannot be 'any', which means everybody")
        if self.mode == "managed" and self.listen == "all" and self.read_user is None:
            raise ValueError("listen = 'all' needs read_user and read_password")
        return self


class RecordingsConfig(_Section):
    """Recordings."""

    segment_duration_s: Seconds = Field(3600.0, description="length of one file of a recording")
    part_duration_s: Seconds = Field(0.25, description="how much a crash may lose")
    start_timeout_s: Seconds = Field(15.0, description="no picture by then: recording.error")
    stall_s: Seconds = Field(8.0, description="no growth for so long: recording.error")
    max_age_days: Annotated[float, Field(gt=0)] | None = Field(
        None, description="finished recordings older than this are deleted; default: never"
    )
    max_count: Annotated[int, Field(ge=1)] | None = Field(
        None, description="finished recordings of one camera beyond this many are deleted, oldest first"
    )


class HealthConfig(_Section):
    """How the agent and the media server are watched, and when the media server counts as broken."""

    watchdog_s: float = Field(
        30.0,
        ge=1,
        description="the agent ends itself when its event loop stands still for so long, or for three quarters of systemd's WatchdogSec",
    )
    quarantine: Literal["spare_last_source", "always", "never"] = Field(
        "spare_last_source",
        description="a plugin that made the agent end itself three times in ten minutes is not loaded: unless it brings the only cameras; even then; or never so",
    )

    failures: int = Field(2, ge=1, description="failed probes in a row until it counts as broken")
    successes: int = Field(2, ge=1, description="good probes in a row until it counts as healthy again")
    probe_timeout_s: Seconds = Field(0.3, description="a probe that takes longer has failed")
    probe_idle_s: Seconds = Field(10.0, description="between probes while nothing is live")
    probe_live_s: Seconds = Field(2.0, description="between probes while something is live")
    probe_open_s: Seconds = Field(1.0, description="between probes while it is broken")
    low_space_bytes: int = Field(1 << 30, ge=0, description="less free space than this is a warning")
    breaker_failures: int = Field(5, ge=1, description="failed calls that open the circuit breaker")
    breaker_window_s: Seconds = Field(10.0, description="within which they count")
    breaker_first_open_s: Seconds = Field(2.0, description="until the first test; doubles while tests fail")
    breaker_longest_open_s: Seconds = Field(30.0, description="longest time between tests")


class PluginsConfig(BaseModel):
    """`enabled` names the plugins in order of priority; `[plugins.<name>]` holds the settings of one.

    The key `required = true` in such a table makes the agent refuse to start without the plugin.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    enabled: tuple[str, ...] = Field((), description="entry-point names, highest priority first")

    @model_validator(mode="after")
    def _tables_only(self) -> "PluginsConfig":
        for name, value in (self.model_extra or {}).items():
            if not isinstance(value, dict):
                msg = f"'{name}' is neither 'enabled' nor a table of plugin settings"
                raise ValueError(msg)  # noqa: TRY004 - pydantic wants ValueError
        return self

    def settings(self, name: str) -> Mapping[str, object]:
        table = (self.model_extra or {}).get(name, {})
        return {key: value for key, value in table.items() if key != "required"}

    def required(self, name: str) -> bool:
        return (self.model_extra or {}).get(name, {}).get("required") is True


class AgentConfig(_Section):
    """Everything that can be configured. Nobody but the composition root gets the whole."""

    server: ServerConfig = ServerConfig()
    auth: AuthConfig = AuthConfig()
    logging: LoggingConfig = LoggingConfig()
    storage: StorageConfig = Field(default_factory=StorageConfig)
    snapshots: SnapshotsConfig = SnapshotsConfig()
    ffmpeg: FfmpegConfig = FfmpegConfig()
    media_server: MediaServerConfig = MediaServerConfig()
    recordings: RecordingsConfig = RecordingsConfig()
    health: HealthConfig = HealthConfig()
    plugins: PluginsConfig = PluginsConfig()
