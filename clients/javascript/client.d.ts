// Written by scripts/js-client from rpc.discover: change the runtime or the agent's types, and run it again.

/** Constructor of WebSockets as browsers, Node 22 and npm's `ws` have it. */
export interface WebSocketConstructor {
  new (url: string): object;
}

export interface ClientOptions {
  /** Token or API key, or a function that returns one: it is asked at each connection, and when the token has expired. */
  token?: string | (() => string | Promise<string>);
  /** Default: the global WebSocket. Node before version 22 has none: give that of npm's `ws`. */
  WebSocket?: WebSocketConstructor;
  /** Time limit of a call, the wait for a lost connection included; default 30000, Infinity for none. */
  callTimeoutMs?: number;
  /** Time limit of connecting, authenticating and subscribing again; default 10000. */
  connectTimeoutMs?: number;
  /** Time between two questions whether the agent still answers; 0 for none, default 20000. */
  keepaliveMs?: number;
  /** Longest first pause before another attempt to connect; each further one is twice as long. Default 500. */
  firstPauseMs?: number;
  /** Longest pause; default 30000. Each pause is shortened by up to half of it, by chance. */
  longestPauseMs?: number;
  /** Source of chance, 0 to 1; default Math.random. */
  random?: () => number;
}

export interface CallOptions {
  /** Time limit in milliseconds instead of `callTimeoutMs`. */
  timeoutMs?: number;
  /** Gives the call up; the agent may still do what was asked. */
  signal?: AbortSignal;
}

export interface Subscription {
  close(): Promise<void>;
}

export interface AgentEvent<P> {
  method: string;
  params: P;
}

/** What `on` tells about the connection itself. */
export interface ConnectionEvents {
  connected: { attempts: number };
  disconnected: { error: Error; pauseMs: number };
  closed: { error: Error };
  /** The agent does not offer this topic any more: after a lost connection, its subscriptions have ended. */
  refused: { topic: string; error: CallFailed };
}

export type ConnectionState = "new" | "connecting" | "connected" | "waiting" | "closed";

/** A word of an agent that may be newer than this file: accept others than those listed. */
export type Open<T extends string> = T | (string & {});

export interface ErrorData {
  reason: string;
  details: string;
  suggestion: string;
  [more: string]: unknown;
}

/** Base of all errors of this client. */
export class AgentClientError extends Error {}
/** There is no connection, or it ended before the reply; the agent may have done what was asked. */
export class ConnectionLost extends AgentClientError {}
/** The reply did not arrive in time; the agent may still do what was asked. */
export class CallTimeout extends AgentClientError {
  readonly method: string;
  readonly timeoutMs: number;
}
/** The agent answered with an error. */
export class CallFailed extends AgentClientError {
  readonly code: number;
  readonly reason: string;
  readonly suggestion: string;
  readonly data: ErrorData;
}

declare class Connection {
  constructor(url: string | URL, options?: ClientOptions);
  readonly state: ConnectionState;
  /** Connect and authenticate. Rejects if the first attempt fails; later losses are repaired without a call. */
  connect(): Promise<this>;
  /** Close the connection for good; calls under way reject with ConnectionLost. */
  close(): Promise<void>;
  /**
   * Look at once if the agent answers, such as after the computer slept or changed its network: end a pause between two
   * attempts, and close a connection on which there is no answer within `timeoutMs` (5000).
   */
  probe(timeoutMs?: number): void;
  /** Use another token from now on, and authenticate with it if there is a connection. */
  setToken(token: string | (() => string | Promise<string>)): Promise<void>;
  /** Return the address of a `download_url` or `thumbnail_url`. */
  fileUrl(path: string): string;
  /** Call a method by its name; while the connection is being opened again, the call waits for it. */
  call<M extends keyof Methods>(
    method: M,
    params?: Methods[M]["params"],
    options?: CallOptions,
  ): Promise<Methods[M]["result"]>;
  call(method: string, params?: Record<string, unknown>, options?: CallOptions): Promise<unknown>;
  /** Listen to the connection's own events, or to a notification; returns a function that ends it. */
  on<E extends keyof ConnectionEvents>(name: E, listener: (event: ConnectionEvents[E]) => void): () => void;
  on<N extends keyof Notifications>(
    name: N,
    listener: (event: AgentEvent<Notifications[N]>) => void,
  ): () => void;
  /** Receive the events of topics, also over lost connections. `device` leaves out events about other cameras. */
  subscribe<T extends keyof Topics>(
    topics: T | readonly T[],
    listener: (event: AgentEvent<Topics[T]>) => void,
    options?: { device?: string },
  ): Promise<Subscription>;
}

/** Version of the contract that this file was written from. */
export const CONTRACT_VERSION: "1.0";

/** -32700: Parse error. */
export class ParseError extends CallFailed {}

/** -32600: Invalid Request. */
export class InvalidRequest extends CallFailed {}

/** -32601: Method not found. */
export class MethodNotFound extends CallFailed {}

/** -32602: Invalid params. */
export class InvalidParams extends CallFailed {}

/** -32001: Authentication failed. */
export class AuthenticationFailed extends CallFailed {}

/** -32002: Permission denied. */
export class PermissionDenied extends CallFailed {}

/** -32010: Not found. */
export class NotFound extends CallFailed {}

/** -32020: Invalid state. */
export class InvalidState extends CallFailed {}

/** -32030: Unsupported. */
export class Unsupported extends CallFailed {}

/** -32040: Rate limited. */
export class RateLimited extends CallFailed {}

/** -32050: Dependency failed. */
export class DependencyFailed extends CallFailed {}

/** -32603: Internal error. */
export class InternalError extends CallFailed {}

/** Params and result of each method. */
export interface Methods {
  get_camera_list: {
    params: Record<string, never>;
    result: CameraList;
  };
  get_camera_status: {
    params: {
      /** id of a camera, such as camera0 */
      device: string;
    };
    result: CameraStatusForm;
  };
  get_camera_capabilities: {
    params: {
      /** id of a camera, such as camera0 */
      device: string;
    };
    result: CameraCapabilities;
  };
  set_camera_controls: {
    params: {
      /** id of a camera, such as camera0 */
      device: string;
      /** values by name, as in get_camera_capabilities; a menu entry by number or label */
      controls?: Record<string, boolean | number | string>;
      /** first set the defaults of all controls, and forget what is kept */
      reset?: boolean;
    };
    result: ControlsSet;
  };
  list_snapshots: {
    params: {
      limit?: number;
      offset?: number;
      /** list only files of this camera, such as camera0 */
      device?: string;
    };
    result: FileList;
  };
  get_snapshot_info: {
    params: {
      /** name, as returned by the list method */
      filename: string;
    };
    result: SnapshotInfo;
  };
  delete_snapshot: {
    params: {
      /** name, as returned by the list method */
      filename: string;
    };
    result: Deleted;
  };
  get_picture: {
    params: {
      /** id of a camera, such as camera0 */
      device: string;
      format?: PictureFormat;
      /** JPEG quality; by default the camera's JPEG is kept unchanged */
      quality?: number;
      /** pixels; width or height alone keeps the aspect ratio; pictures are never enlarged */
      width?: number;
      /** pixels; width or height alone keeps the aspect ratio; pictures are never enlarged */
      height?: number;
      /** largest age of the picture; 0: exposed after this request; default: snapshots.max_age_ms */
      max_age_ms?: number;
      /** time limit of the call; default: snapshots.deadline_ms */
      deadline_ms?: number;
      /** largest picture, before base64; the error for a larger one proposes a width */
      max_bytes?: number;
    };
    result: PictureForm;
  };
  get_system_status: {
    params: Record<string, never>;
    result: SystemStatusForm;
  };
  get_server_info: {
    params: Record<string, never>;
    result: ServerInfo;
  };
  take_snapshot: {
    params: {
      /** id of a camera, such as camera0 */
      device: string;
      /** default: made from camera and time */
      filename?: string;
      format?: PictureFormat;
      /** JPEG quality; by default the camera's JPEG is kept unchanged */
      quality?: number;
      /** pixels; width or height alone keeps the aspect ratio; pictures are never enlarged */
      width?: number;
      /** pixels; width or height alone keeps the aspect ratio; pictures are never enlarged */
      height?: number;
      /** largest age of the picture; 0: exposed after this request; default: snapshots.max_age_ms */
      max_age_ms?: number;
      /** time limit of the call; default: snapshots.deadline_ms */
      deadline_ms?: number;
    };
    result: SnapshotForm;
  };
  get_status: {
    params: Record<string, never>;
    result: StatusForm;
  };
  reload_configuration: {
    params: Record<string, never>;
    result: ReloadForm;
  };
  discover_external_streams: {
    params: {
      /** search for Skydio's streams */
      skydio_enabled?: boolean;
      /** search for cameras: common paths, ONVIF, DNS-SD */
      generic_enabled?: boolean;
      /** scan now, even if the last scan is recent */
      force_rescan?: boolean;
      /** return also streams that the last scan did not see */
      include_offline?: boolean;
    };
    result: Discovered;
  };
  add_external_stream: {
    params: {
      /** address; user and password in it are split off and never returned */
      stream_url: string;
      /** name of the camera, without control characters and not blank; unique */
      stream_name: string;
      stream_type?: "skydio" | "generic_rtsp" | "onvif" | "dnssd";
      /** instead of a user in the address */
      user?: string;
      /** instead of a password in the address */
      password?: string;
      /** open the stream once before it is added, and refuse it with the reason if that fails; false adds one that is offline now */
      verify?: boolean;
    };
    result: Added;
  };
  remove_external_stream: {
    params: {
      /** as returned, or as it was added */
      stream_url: string;
    };
    result: Removed;
  };
  get_external_streams: {
    params: Record<string, never>;
    result: ExternalStreams;
  };
  set_discovery_interval: {
    params: {
      /** seconds between two scans; 0: no scans by themselves */
      scan_interval: number;
    };
    result: IntervalSet;
  };
  start_recording: {
    params: {
      /** id of a camera, such as camera0 */
      device: string;
      /** length in seconds, from the first picture */
      duration?: number;
      /** default: fmp4, or mpegts for a camera with KLV data, which fmp4 cannot hold; mp4 is another name for fmp4 */
      format?: "fmp4" | "mpegts" | "mp4";
      /** true: answer only when bytes are on disk */
      wait?: boolean;
    };
    result: RecordingStarted;
  };
  stop_recording: {
    params: {
      /** id of a camera, such as camera0 */
      device: string;
    };
    result: RecordingStopped;
  };
  list_recordings: {
    params: {
      limit?: number;
      offset?: number;
      /** list only files of this camera, such as camera0 */
      device?: string;
    };
    result: RecordingFileList;
  };
  get_recording_info: {
    params: {
      /** name, as returned by the list method */
      filename: string;
    };
    result: RecordingInfo;
  };
  delete_recording: {
    params: {
      /** name, as returned by the list method */
      filename: string;
    };
    result: Deleted;
  };
  get_storage_info: {
    params: Record<string, never>;
    result: StorageInfoForm;
  };
  set_retention_policy: {
    params: {
      /** enabled, age needs max_age_days and size max_size_gb; manual: only cleanup_old_files deletes; the limit of another type is accepted and not applied */
      policy_type: PolicyType;
      /** false: the limits of the configuration apply, and not this policy */
      enabled: boolean;
      /** age at which recordings and snapshots are deleted */
      max_age_days?: number;
      /** most gigabytes (10^9 bytes) of recordings and snapshots together */
      max_size_gb?: number;
    };
    result: RetentionForm;
  };
  cleanup_old_files: {
    params: Record<string, never>;
    result: CleanupForm;
  };
  start_streaming: {
    params: {
      /** id of a camera, such as camera0 */
      device: string;
    };
    result: StreamStarted;
  };
  stop_streaming: {
    params: {
      /** id of a camera, such as camera0 */
      device: string;
    };
    result: StreamStopped;
  };
  get_stream_url: {
    params: {
      /** id of a camera, such as camera0 */
      device: string;
    };
    result: StreamUrlForm;
  };
  get_stream_status: {
    params: {
      /** id of a camera, such as camera0 */
      device: string;
    };
    result: StreamStatusForm;
  };
  get_streams: {
    params: Record<string, never>;
    result: StreamEntry[];
  };
  ping: {
    params: Record<string, never>;
    result: "pong";
  };
  authenticate: {
    params: {
      /** token (JWT) or API key */
      auth_token: string;
    };
    result: Authenticated;
  };
  "rpc.discover": {
    params: Record<string, never>;
    result: Record<string, JsonValue>;
  };
  subscribe_events: {
    params: {
      /** topics of the agent or of a plugin */
      topics: string[];
      filters?: Filters;
      /** deliver first, from the agent's journal, the events since this one */
      replay_since?: ReplaySince;
    };
    result: Subscribed;
  };
  unsubscribe_events: {
    params: {
      /** default: all topics */
      topics?: string[];
    };
    result: Unsubscribed;
  };
  get_subscription_stats: {
    params: Record<string, never>;
    result: SubscriptionStats;
  };
  list_api_keys: {
    params: Record<string, never>;
    result: KeyList;
  };
  revoke_api_key: {
    params: {
      /** id of a key, as returned by list_api_keys */
      id: string;
    };
    result: KeyRevoked;
  };
  create_api_key: {
    params: {
      role: Role;
      /** name of the user; one key per user and kind */
      user: string;
      /** `api`: presented by clients; `mqtt`: signs calls through a broker, and is never sent */
      kind?: KeyKind;
      /** end of the key; default: no end */
      expires_at?: string;
    };
    result: KeyCreated;
  };
  create_view_link: {
    params: {
      /** camera that the link shows, such as camera0; default: all */
      device?: string;
      /** time in seconds until the link ends */
      lifetime_s?: number;
    };
    result: ViewLinkCreated;
  };
  list_view_links: {
    params: Record<string, never>;
    result: ViewLinkList;
  };
  revoke_view_link: {
    params: {
      /** id of a link, as returned by list_view_links */
      id: string;
    };
    result: ViewLinkRevoked;
  };
  get_metrics: {
    params: Record<string, never>;
    result: MetricsForm;
  };
  "virtual_camera.set_fault": {
    params: {
      /** id, configured name or serial number of the camera */
      device: string;
      /** stall: no frames; corrupt: damaged frames; vanish: no camera */
      fault: "stall" | "corrupt" | "vanish";
      /** true starts the fault, false ends it */
      enabled: boolean;
    };
    result: SetFaultResult;
  };
}

/** Params of each notification, by its method. */
export interface Notifications {
  "camera.connected": {
    /** number of the event; each start of the agent counts from 1, over all topics */
    sequence: number;
    device: string;
    name: string;
    status: Open<CameraStatus>;
    resolution: string;
    fps: number;
    /** same as fps */
    frame_rate: number;
    /** formats of its pictures, such as MJPG */
    capabilities: string[];
    streams: StreamUrls;
    /** same as streams.rtsp */
    stream_url: string;
    /** protocols by which the media server serves this camera's codecs; empty without a connected server */
    served: string[];
    is_recording: boolean;
    /** true: may be another camera of the same model */
    ambiguous: boolean;
    /** true: recognized on another port than before */
    moved: boolean;
    /** a sentence, if the status is not CONNECTED */
    problem: string;
    timestamp: string;
  };
  "camera.disconnected": {
    /** number of the event; each start of the agent counts from 1, over all topics */
    sequence: number;
    device: string;
    name: string;
    status: Open<CameraStatus>;
    resolution: string;
    fps: number;
    /** same as fps */
    frame_rate: number;
    /** formats of its pictures, such as MJPG */
    capabilities: string[];
    streams: StreamUrls;
    /** same as streams.rtsp */
    stream_url: string;
    /** protocols by which the media server serves this camera's codecs; empty without a connected server */
    served: string[];
    is_recording: boolean;
    /** true: may be another camera of the same model */
    ambiguous: boolean;
    /** true: recognized on another port than before */
    moved: boolean;
    /** a sentence, if the status is not CONNECTED */
    problem: string;
    timestamp: string;
  };
  "camera.status_change": {
    /** number of the event; each start of the agent counts from 1, over all topics */
    sequence: number;
    device: string;
    name: string;
    status: Open<CameraStatus>;
    resolution: string;
    fps: number;
    /** same as fps */
    frame_rate: number;
    /** formats of its pictures, such as MJPG */
    capabilities: string[];
    streams: StreamUrls;
    /** same as streams.rtsp */
    stream_url: string;
    /** protocols by which the media server serves this camera's codecs; empty without a connected server */
    served: string[];
    is_recording: boolean;
    /** true: may be another camera of the same model */
    ambiguous: boolean;
    /** true: recognized on another port than before */
    moved: boolean;
    /** a sentence, if the status is not CONNECTED */
    problem: string;
    timestamp: string;
  };
  "camera.controls": {
    /** number of the event; each start of the agent counts from 1, over all topics */
    sequence: number;
    device: string;
    controls: Record<string, ControlOutcomeForm>;
    /** set or reset: by a client; kept: values set again because the camera was connected */
    cause: Open<ControlCause>;
    timestamp: string;
  };
  camera_status_update: {
    /** number of the event; each start of the agent counts from 1, over all topics */
    sequence: number;
    device: string;
    name: string;
    status: Open<CameraStatus>;
    resolution: string;
    fps: number;
    /** same as fps */
    frame_rate: number;
    /** formats of its pictures, such as MJPG */
    capabilities: string[];
    streams: StreamUrls;
    /** same as streams.rtsp */
    stream_url: string;
    /** protocols by which the media server serves this camera's codecs; empty without a connected server */
    served: string[];
    is_recording: boolean;
    /** true: may be another camera of the same model */
    ambiguous: boolean;
    /** true: recognized on another port than before */
    moved: boolean;
    /** a sentence, if the status is not CONNECTED */
    problem: string;
    timestamp: string;
  };
  "snapshot.taken": {
    /** number of the event; each start of the agent counts from 1, over all topics */
    sequence: number;
    device: string;
    filename: string;
    file_path: string;
    file_size: number;
    resolution: string;
    format: Open<PictureFormat>;
    status: "SUCCESS";
    tier_used: number;
    tier_name: string;
    capture_time: number;
    /** time to which age_ms refers, just before it was stored */
    timestamp: string;
    captured_at: string;
    captured_at_source: Open<CapturedAtSource>;
    age_ms: number;
    /** false: the camera had just started and was still adjusting its exposure */
    settled: boolean;
    /** why the exposure counts as settled: brightness: the pictures were equally bright; time: the configured time had passed; limit: the pictures stayed black or white, or kept changing, until the longest wait was over; left out where the agent does not wait, and before */
    settled_by?: Open<SettledBy>;
    /** time from the first picture after the camera's start until its exposure settled; left out as settled_by */
    settle_ms?: number;
    tiers_tried: TierAttemptForm[];
    /** left out while the agent's secret is unusable */
    download_url?: string;
  };
  "recording.start": {
    /** number of the event; each start of the agent counts from 1, over all topics */
    sequence: number;
    device: string;
    /** STARTED, STOPPED or ERROR; of recording_status_update: STARTING, RECORDING, ERROR, SUSPENDED or STOPPED */
    status: string;
    /** id of the recording */
    filename: string;
    /** seconds of media */
    duration: number;
    reason?: string;
    timestamp: string;
  };
  "recording.stop": {
    /** number of the event; each start of the agent counts from 1, over all topics */
    sequence: number;
    device: string;
    /** STARTED, STOPPED or ERROR; of recording_status_update: STARTING, RECORDING, ERROR, SUSPENDED or STOPPED */
    status: string;
    /** id of the recording */
    filename: string;
    /** seconds of media */
    duration: number;
    reason?: string;
    timestamp: string;
  };
  "recording.error": {
    /** number of the event; each start of the agent counts from 1, over all topics */
    sequence: number;
    device: string;
    /** STARTED, STOPPED or ERROR; of recording_status_update: STARTING, RECORDING, ERROR, SUSPENDED or STOPPED */
    status: string;
    /** id of the recording */
    filename: string;
    /** seconds of media */
    duration: number;
    reason?: string;
    timestamp: string;
  };
  "system.health": {
    /** number of the event; each start of the agent counts from 1, over all topics */
    sequence: number;
    /** HEALTHY, DEGRADED or UNHEALTHY */
    status: string;
    /** as in get_status */
    components: Record<string, string>;
    /** a sentence */
    reason?: string;
    timestamp: string;
  };
  "system.startup": {
    /** number of the event; each start of the agent counts from 1, over all topics */
    sequence: number;
    /** HEALTHY, DEGRADED or UNHEALTHY */
    status: string;
    /** as in get_status */
    components: Record<string, string>;
    /** a sentence */
    reason?: string;
    timestamp: string;
  };
  "system.shutdown": {
    /** number of the event; each start of the agent counts from 1, over all topics */
    sequence: number;
    /** HEALTHY, DEGRADED or UNHEALTHY */
    status: string;
    /** as in get_status */
    components: Record<string, string>;
    /** a sentence */
    reason?: string;
    timestamp: string;
  };
  system_health_update: {
    /** number of the event; each start of the agent counts from 1, over all topics */
    sequence: number;
    /** HEALTHY, DEGRADED or UNHEALTHY */
    status: string;
    /** as in get_status */
    components: Record<string, string>;
    /** a sentence */
    reason?: string;
    timestamp: string;
  };
  "plugin.quarantined": {
    /** number of the event; each start of the agent counts from 1, over all topics */
    sequence: number;
    plugin: string;
    /** a sentence */
    reason: string;
    timestamp: string;
  };
  recording_status_update: {
    /** number of the event; each start of the agent counts from 1, over all topics */
    sequence: number;
    device: string;
    /** STARTED, STOPPED or ERROR; of recording_status_update: STARTING, RECORDING, ERROR, SUSPENDED or STOPPED */
    status: string;
    /** id of the recording */
    filename: string;
    /** seconds of media */
    duration: number;
    reason?: string;
    timestamp: string;
  };
  "external_discovery.progress": Record<string, unknown>;
  "system.events_dropped": {
    /** number of the last lost event; all later ones follow */
    sequence: number;
    /** events lost; from the journal, at most so many, as only their numbers are known */
    count: number;
    /** slow_reader: the queue was full; journal_overflow: the journal no longer has them; agent_restarted, unknown_sequence: replay_since names another start, or a number not given yet, so the whole journal follows */
    reason: Open<"slow_reader" | "journal_overflow" | "agent_restarted" | "unknown_sequence">;
    /** the start of the agent that the numbers belong to */
    boot_id: string;
    /** number of the last event before the lost ones */
    after: number;
  };
  "system.auth_expired": {
    /** number of the last event that was sent, or told as lost, before */
    sequence: number;
    details: string;
  };
}

/** Params of the notifications of each topic. */
export interface Topics {
  "camera.connected": Notifications["camera.connected"];
  "camera.disconnected": Notifications["camera.disconnected"];
  "camera.status_change": Notifications["camera.status_change"];
  "camera.controls": Notifications["camera.controls"];
  camera_status_update: Notifications["camera_status_update"];
  "snapshot.taken": Notifications["snapshot.taken"];
  "recording.start": Notifications["recording.start"];
  "recording.started": Notifications["recording.start"];
  "recording.stop": Notifications["recording.stop"];
  "recording.stopped": Notifications["recording.stop"];
  "recording.error": Notifications["recording.error"];
  "system.health": Notifications["system.health"];
  "system.startup": Notifications["system.startup"];
  "system.shutdown": Notifications["system.shutdown"];
  system_health_update: Notifications["system_health_update"];
  "plugin.quarantined": Notifications["plugin.quarantined"];
  recording_status_update: Notifications["recording_status_update"];
  "external_discovery.progress": Notifications["external_discovery.progress"];
}

/** Client of a camera agent; a method for each of the agent's. */
export class AgentClient extends Connection {
  /** List all cameras, including disconnected ones. Role: viewer. */
  getCameraList(params?: Methods["get_camera_list"]["params"], options?: CallOptions): Promise<Methods["get_camera_list"]["result"]>;
  /** Return one camera with its metrics. Role: viewer. */
  getCameraStatus(params: Methods["get_camera_status"]["params"], options?: CallOptions): Promise<Methods["get_camera_status"]["result"]>;
  /** Return the formats, modes and controls of a camera. Role: viewer. */
  getCameraCapabilities(params: Methods["get_camera_capabilities"]["params"], options?: CallOptions): Promise<Methods["get_camera_capabilities"]["result"]>;
  /** Set image controls of a camera, read them back, and keep the values over replugs and restarts. Role: operator. */
  setCameraControls(params: Methods["set_camera_controls"]["params"], options?: CallOptions): Promise<Methods["set_camera_controls"]["result"]>;
  /** List the stored snapshots, newest first. Role: viewer. */
  listSnapshots(params?: Methods["list_snapshots"]["params"], options?: CallOptions): Promise<Methods["list_snapshots"]["result"]>;
  /** Return one stored snapshot. Role: viewer. */
  getSnapshotInfo(params: Methods["get_snapshot_info"]["params"], options?: CallOptions): Promise<Methods["get_snapshot_info"]["result"]>;
  /** Delete a stored snapshot. Role: admin. */
  deleteSnapshot(params: Methods["delete_snapshot"]["params"], options?: CallOptions): Promise<Methods["delete_snapshot"]["result"]>;
  /** Take a picture and return it, without storing it. Role: viewer. */
  getPicture(params: Methods["get_picture"]["params"], options?: CallOptions): Promise<Methods["get_picture"]["result"]>;
  /** Return the agent's progress at start and its problems. Role: viewer. */
  getSystemStatus(params?: Methods["get_system_status"]["params"], options?: CallOptions): Promise<Methods["get_system_status"]["result"]>;
  /** Return the version, capabilities and plugins of the agent. Role: viewer. */
  getServerInfo(params?: Methods["get_server_info"]["params"], options?: CallOptions): Promise<Methods["get_server_info"]["result"]>;
  /** Take a picture with the fastest tier that works at the moment. Role: operator. */
  takeSnapshot(params: Methods["take_snapshot"]["params"], options?: CallOptions): Promise<Methods["take_snapshot"]["result"]>;
  /** Return the health of the agent and its components, from memory. Role: admin. */
  getStatus(params?: Methods["get_status"]["params"], options?: CallOptions): Promise<Methods["get_status"]["result"]>;
  /** Read the configuration again, apply what needs no restart, and return what became of each changed key. Role: admin. */
  reloadConfiguration(params?: Methods["reload_configuration"]["params"], options?: CallOptions): Promise<Methods["reload_configuration"]["result"]>;
  /** Search the configured networks for streams of UAVs and cameras. Role: operator. */
  discoverExternalStreams(params?: Methods["discover_external_streams"]["params"], options?: CallOptions): Promise<Methods["discover_external_streams"]["result"]>;
  /** Add a network stream as a camera, after a look at it; it is kept over restarts. Role: operator. */
  addExternalStream(params: Methods["add_external_stream"]["params"], options?: CallOptions): Promise<Methods["add_external_stream"]["result"]>;
  /** Remove a network stream; its recordings and snapshots stay. Role: operator. */
  removeExternalStream(params: Methods["remove_external_stream"]["params"], options?: CallOptions): Promise<Methods["remove_external_stream"]["result"]>;
  /** List the added network streams and those that were found. Role: viewer. */
  getExternalStreams(params?: Methods["get_external_streams"]["params"], options?: CallOptions): Promise<Methods["get_external_streams"]["result"]>;
  /** Set how often the agent searches for streams by itself; it is kept over restarts. Role: admin. */
  setDiscoveryInterval(params: Methods["set_discovery_interval"]["params"], options?: CallOptions): Promise<Methods["set_discovery_interval"]["result"]>;
  /** Start recording a camera. Role: operator. */
  startRecording(params: Methods["start_recording"]["params"], options?: CallOptions): Promise<Methods["start_recording"]["result"]>;
  /** Stop recording a camera. Role: operator. */
  stopRecording(params: Methods["stop_recording"]["params"], options?: CallOptions): Promise<Methods["stop_recording"]["result"]>;
  /** List the stored recordings, newest first. Role: viewer. */
  listRecordings(params?: Methods["list_recordings"]["params"], options?: CallOptions): Promise<Methods["list_recordings"]["result"]>;
  /** Return one stored recording with its segments. Role: viewer. */
  getRecordingInfo(params: Methods["get_recording_info"]["params"], options?: CallOptions): Promise<Methods["get_recording_info"]["result"]>;
  /** Delete a recording that has ended, with all its files. Role: admin. */
  deleteRecording(params: Methods["delete_recording"]["params"], options?: CallOptions): Promise<Methods["delete_recording"]["result"]>;
  /** Return the used and free space. Role: admin. */
  getStorageInfo(params?: Methods["get_storage_info"]["params"], options?: CallOptions): Promise<Methods["get_storage_info"]["result"]>;
  /** Set when stored media are deleted. Role: admin. */
  setRetentionPolicy(params: Methods["set_retention_policy"]["params"], options?: CallOptions): Promise<Methods["set_retention_policy"]["result"]>;
  /** Delete at once what the limits in force exclude. Role: admin. */
  cleanupOldFiles(params?: Methods["cleanup_old_files"]["params"], options?: CallOptions): Promise<Methods["cleanup_old_files"]["result"]>;
  /** Keep a stream live for this connection. Role: operator. */
  startStreaming(params: Methods["start_streaming"]["params"], options?: CallOptions): Promise<Methods["start_streaming"]["result"]>;
  /** End this connection's hold on a stream. Role: operator. */
  stopStreaming(params: Methods["stop_streaming"]["params"], options?: CallOptions): Promise<Methods["stop_streaming"]["result"]>;
  /** Return the URL of a camera's stream. Role: viewer. */
  getStreamUrl(params: Methods["get_stream_url"]["params"], options?: CallOptions): Promise<Methods["get_stream_url"]["result"]>;
  /** Return the status of a camera's stream. Role: viewer. */
  getStreamStatus(params: Methods["get_stream_status"]["params"], options?: CallOptions): Promise<Methods["get_stream_status"]["result"]>;
  /** List all streams of the media server. Role: viewer. */
  getStreams(params?: Methods["get_streams"]["params"], options?: CallOptions): Promise<Methods["get_streams"]["result"]>;
  /** Answer `pong`, to show that the agent responds. Role: none. */
  ping(params?: Methods["ping"]["params"], options?: CallOptions): Promise<Methods["ping"]["result"]>;
  /** Authenticate this connection; call again after the credentials have expired. Role: none. */
  authenticate(params: Methods["authenticate"]["params"], options?: CallOptions): Promise<Methods["authenticate"]["result"]>;
  /** Return the description of all methods and events as an OpenRPC document. Role: none. */
  rpcDiscover(params?: Methods["rpc.discover"]["params"], options?: CallOptions): Promise<Methods["rpc.discover"]["result"]>;
  /** Subscribe this connection to more topics. Role: viewer. */
  subscribeEvents(params: Methods["subscribe_events"]["params"], options?: CallOptions): Promise<Methods["subscribe_events"]["result"]>;
  /** End the subscription to these topics, or to all. Role: viewer. */
  unsubscribeEvents(params?: Methods["unsubscribe_events"]["params"], options?: CallOptions): Promise<Methods["unsubscribe_events"]["result"]>;
  /** Return the number of subscriptions, and the topics of this connection. Role: viewer. */
  getSubscriptionStats(params?: Methods["get_subscription_stats"]["params"], options?: CallOptions): Promise<Methods["get_subscription_stats"]["result"]>;
  /** List the API keys, and the keys that sign calls, without the keys themselves. Role: admin. */
  listApiKeys(params?: Methods["list_api_keys"]["params"], options?: CallOptions): Promise<Methods["list_api_keys"]["result"]>;
  /** Revoke a key; its connections and downloads end within a second. Role: admin. */
  revokeApiKey(params: Methods["revoke_api_key"]["params"], options?: CallOptions): Promise<Methods["revoke_api_key"]["result"]>;
  /** Create a key for a user. Role: admin. */
  createApiKey(params: Methods["create_api_key"]["params"], options?: CallOptions): Promise<Methods["create_api_key"]["result"]>;
  /** Make a link that shows one camera, or all, to pages of other origins; it can do nothing else. Role: operator. */
  createViewLink(params?: Methods["create_view_link"]["params"], options?: CallOptions): Promise<Methods["create_view_link"]["result"]>;
  /** List the view links without their secrets, which are not stored. Role: admin. */
  listViewLinks(params?: Methods["list_view_links"]["params"], options?: CallOptions): Promise<Methods["list_view_links"]["result"]>;
  /** Revoke a view link; the views that it shows end within a second. Role: admin. */
  revokeViewLink(params: Methods["revoke_view_link"]["params"], options?: CallOptions): Promise<Methods["revoke_view_link"]["result"]>;
  /** Return the numbers of the agent and its services, from memory. Role: admin. */
  getMetrics(params?: Methods["get_metrics"]["params"], options?: CallOptions): Promise<Methods["get_metrics"]["result"]>;
  /** Make a virtual camera stall, send damaged frames or vanish, or end such a fault. Role: admin. */
  virtualCameraSetFault(params: Methods["virtual_camera.set_fault"]["params"], options?: CallOptions): Promise<Methods["virtual_camera.set_fault"]["result"]>;
}

/** Result of add_external_stream. */
export interface Added {
  stream_url: string;
  stream_name: string;
  stream_type: string;
  device: string;
  status: "ADDED";
  timestamp: string;
}

export interface Authenticated {
  authenticated: true;
  role: Open<Role>;
  permissions: string[];
  /** null if the API key does not expire */
  expires_at: string | null;
  session_id: string;
}

export interface CameraCapabilities {
  device: string;
  formats: string[];
  resolutions: string[];
  fps_options: number[];
  modes: ModeForm[];
  controls: ControlForm[];
  /** NONE: no modes are known */
  validation_status: Open<"NONE" | "DISCONNECTED" | "CONFIRMED">;
  /** codecs of the stream, such as H264, AAC or KLV, once they are known */
  tracks?: string[];
}

/** A camera. `resolution` is empty and `fps` is 0 while unknown. */
export interface CameraForm {
  device: string;
  name: string;
  status: Open<CameraStatus>;
  resolution: string;
  fps: number;
  /** same as fps */
  frame_rate: number;
  /** formats of its pictures, such as MJPG */
  capabilities: string[];
  streams: StreamUrls;
  /** same as streams.rtsp */
  stream_url: string;
  /** protocols by which the media server serves this camera's codecs; empty without a connected server */
  served: string[];
  is_recording: boolean;
  /** true: may be another camera of the same model */
  ambiguous: boolean;
  /** true: recognized on another port than before */
  moved: boolean;
  /** a sentence, if the status is not CONNECTED */
  problem: string;
}

export interface CameraList {
  cameras: CameraForm[];
  total: number;
  connected: number;
  timestamp: string;
}

/** `uptime` is the time since the camera was connected, in seconds. */
export interface CameraMetrics {
  bytes_sent: number;
  readers: number;
  uptime: number;
  /** age of bytes_sent and readers; absent if they were never read from a media server */
  age_ms?: number;
}

/** Numbers of one camera; bytes are summed over all its streams. */
export interface CameraMetricsForm {
  status: Open<CameraStatus>;
  recording: boolean;
  /** its stream can be read; false if that is unknown */
  live: boolean;
  /** readers of its stream without the agent's own */
  readers: number;
  /** bytes that the media server received from the camera */
  bytes_received: number;
  /** bytes that the media server sent to readers */
  bytes_sent: number;
  /** seconds since the camera was connected */
  uptime: number;
}

export type CameraStatus = "CONNECTED" | "DISCONNECTED" | "ERROR";

/** A camera as in the list, with `metrics` and full `capabilities`. */
export interface CameraStatusForm {
  device: string;
  name: string;
  status: Open<CameraStatus>;
  resolution: string;
  fps: number;
  frame_rate: number;
  capabilities: FormatsAndSizes;
  streams: StreamUrls;
  stream_url: string;
  served: string[];
  is_recording: boolean;
  ambiguous: boolean;
  moved: boolean;
  problem: string;
  metrics: CameraMetrics;
}

export interface CamerasMetricsForm {
  connected_cameras: number;
  /** by id, disconnected ones included */
  cameras: Record<string, CameraMetricsForm>;
}

/** Source of a capture time, best first. */
export type CapturedAtSource = "device" | "arrival" | "estimated";

/** One health check; `since` is the time of its last change of status. */
export interface CheckForm {
  name: string;
  status: Open<"OK" | "WARNING" | "FAILED">;
  detail: string;
  since: string;
}

export interface CleanupForm {
  /** false if there is no limit to apply */
  cleanup_executed: boolean;
  /** deleted snapshots and recordings; a recording counts as one file */
  files_deleted: number;
  /** bytes */
  space_freed: number;
  message: string;
}

/** Cause of new control values: a client's call, a client's reset, or the return of a camera with kept values. */
export type ControlCause = "set" | "reset" | "kept";

/** State of a control, as the driver reports it. `INACTIVE`: another control, such as an automatic mode, determines the value now. `GRABBED`: another program, or the running stream, has locked it. `DISABLED`: the driver has switched it off for good. `VOLATILE`: the camera changes the value by itself. `UNREADABLE`: the camera did not answer when the value was read; `value` is the default. */
export type ControlFlag = "read_only" | "write_only" | "inactive" | "disabled" | "grabbed" | "volatile" | "unreadable";

export interface ControlForm {
  name: string;
  /** integer, integer64, boolean, menu, integer_menu, button, bitmask, or another */
  kind: string;
  minimum: number;
  maximum: number;
  step: number;
  default: number;
  value: number;
  /** labels by value, if the control is a menu */
  choices: Record<string, string>;
  /** inactive: another control, such as an automatic mode, determines the value now */
  flags: Open<ControlFlag>[];
  /** false: never, for the reason in `reason` */
  settable: boolean;
  /** why the control cannot be set, a sentence */
  reason?: string;
  /** value that the agent sets again after a replug or a restart, if there is one */
  kept?: boolean | number | string;
}

/** Outcome for one control. `value` is absent if the value in effect is unknown. */
export interface ControlOutcomeForm {
  /** value in effect, in the form of the request: a menu entry by number or label */
  value?: boolean | number | string;
  requested: boolean | number | string;
  /** APPLIED; ADJUSTED: another value was set, for example the nearest possible; REFUSED: none was set */
  status: Open<ControlStatus>;
  /** a sentence, unless the status is APPLIED */
  reason?: string;
}

export type ControlStatus = "APPLIED" | "ADJUSTED" | "REFUSED";

/** Outcome for each requested control by its requested name, and with `reset` for each one that was reset. */
export interface ControlsSet {
  device: string;
  controls: Record<string, ControlOutcomeForm>;
  /** true: the values survive a restart of the agent; false: they cannot be stored now, see get_system_status */
  stored: boolean;
}

export interface Deleted {
  filename: string;
  deleted: true;
  message: string;
}

/** Result of discover_external_streams. */
export interface Discovered {
  discovered_streams: ExternalStream[];
  skydio_streams: ExternalStream[];
  generic_streams: ExternalStream[];
  scan_timestamp: string;
  total_found: number;
  discovery_options: DiscoveryOptions;
  /** seconds with the unit, such as 2.5s */
  scan_duration: string;
  /** sentences about what could not be searched */
  errors: string[];
}

/** Options of a search as they took effect. */
export interface DiscoveryOptions {
  skydio_enabled: boolean;
  generic_enabled: boolean;
  force_rescan: boolean;
  include_offline: boolean;
}

export interface EventMetricsForm {
  published: number;
  /** events that subscribers lost by reading too slowly */
  dropped: number;
  /** events kept for clients that reconnect */
  journal_events: number;
  /** memory that these take */
  journal_bytes: number;
}

/** External stream, found or added. `device` is its camera, once it was added. */
export interface ExternalStream {
  /** address without credentials; secret parameters are hidden */
  url: string;
  name: string;
  type: string;
  /** DISCOVERED: found, not added; ADDED: a camera; ERROR: a camera that does not work now */
  status: Open<"DISCOVERED" | "ADDED" | "ERROR">;
  /** time of the first sight, or of adding */
  discovered_at: string;
  /** time at which the camera last answered; absent: never */
  last_seen?: string;
  /** the camera answered when it was last looked at */
  online: boolean;
  /** why it does not work, one sentence; empty otherwise */
  details: string;
  /** remove_external_stream removes it; the configuration's streams stay */
  removable: boolean;
  capabilities: StreamCapabilities;
  device?: string;
}

/** Result of get_external_streams. The streams of UAVs and of cameras are also listed apart. */
export interface ExternalStreams {
  external_streams: ExternalStream[];
  skydio_streams: ExternalStream[];
  generic_streams: ExternalStream[];
  total_count: number;
  timestamp: string;
}

/** Publisher of the camera. `pid` and `uptime` (seconds) are absent if it does not run, or does not report to the agent. */
export interface FfmpegProcess {
  running: boolean;
  pid?: number;
  uptime?: number;
}

export interface FileForm {
  filename: string;
  device: string;
  file_size: number;
  modified_time: string;
  format: string;
  /** left out while the agent's secret is unusable */
  download_url?: string;
  /** small JPEG, made at the first request */
  thumbnail_url?: string;
}

export interface FileList {
  files: FileForm[];
  total: number;
  limit: number;
  offset: number;
}

export interface Filters {
  /** deliver only events about this camera */
  device?: string;
}

/** `tracks` are the codecs of the stream, such as H264, AAC or KLV, once they are known. */
export interface FormatsAndSizes {
  formats: string[];
  resolutions: string[];
  tracks?: string[];
}

export interface GlobalStats {
  total_subscriptions: number;
  active_clients: number;
  topic_counts: Record<string, number>;
}

export interface HealthMetricsForm {
  status: Open<"HEALTHY" | "DEGRADED" | "UNHEALTHY">;
  /** state of the circuit to the media server */
  breaker: Open<"closed" | "open" | "half_open">;
  /** times that the circuit has opened */
  openings: number;
  /** duration of the last answered probe of the media server */
  probe_ms?: number;
}

/** Result of set_discovery_interval. */
export interface IntervalSet {
  scan_interval: number;
  status: "UPDATED";
  message: string;
  timestamp: string;
}

export type JsonValue = unknown;

export interface KeyCreated {
  id: string;
  user: string;
  kind: Open<KeyKind>;
  role: Open<Role>;
  created_at: string;
  /** null if the key does not expire */
  expires_at: string | null;
  /** the key itself; shown only here */
  key: string;
}

export interface KeyEntry {
  id: string;
  user: string;
  kind: Open<KeyKind>;
  role: Open<Role>;
  created_at: string;
  /** null if the key does not expire */
  expires_at: string | null;
}

/** Use of a key: `api` is presented as a bearer token, `mqtt` signs calls through a broker and is never sent. */
export type KeyKind = "api" | "mqtt";

export interface KeyList {
  keys: KeyEntry[];
  total: number;
}

export interface KeyRevoked {
  id: string;
  user: string;
  revoked: true;
}

export interface MethodMetricsForm {
  calls: number;
  errors: number;
  mean_ms: number;
}

/** All from memory: no call waits for a disk, a camera or the media server. */
export interface MetricsForm {
  timestamp: string;
  system_metrics: SystemMetricsForm;
  camera_metrics: CamerasMetricsForm;
  recording_metrics: RecordingMetricsForm;
  stream_metrics: StreamMetricsForm;
  snapshot_metrics: SnapshotMetricsForm;
  path_metrics: PathMetricsForm;
  health_metrics: HealthMetricsForm;
  event_metrics: EventMetricsForm;
  rpc_metrics: RpcMetricsForm;
}

export interface ModeForm {
  format: string;
  width: number;
  height: number;
  fps: number[];
}

export interface PathCountersForm {
  /** changes sent to the media server */
  writes: number;
  /** changes sent again because it did not answer */
  retries: number;
  /** repairs of paths that differed from their plan */
  repairs: number;
}

export interface PathForm {
  exists: boolean;
  ready: boolean;
  readers: number;
}

/** Sums over all paths, those of removed cameras included, and each listed camera's path by its name, the id. */
export interface PathMetricsForm {
  /** changes sent to the media server */
  writes: number;
  /** changes sent again because it did not answer */
  retries: number;
  /** repairs of paths that differed from their plan */
  repairs: number;
  paths: Record<string, PathCountersForm>;
}

/** A picture that was just taken, and is not stored. */
export interface PictureForm {
  device: string;
  content_type: Open<"image/jpeg" | "image/png">;
  width: number;
  height: number;
  /** size of the picture, before base64 */
  size_bytes: number;
  /** time to which age_ms refers */
  timestamp: string;
  captured_at: string;
  captured_at_source: Open<CapturedAtSource>;
  age_ms: number;
  /** false: the camera had just started and was still adjusting its exposure */
  settled: boolean;
  tier_used: number;
  tier_name: string;
  /** the picture in base64 */
  data: string;
}

export type PictureFormat = "jpg" | "png";

/** `reason` and `details` tell why a plugin is not loaded. */
export interface PluginForm {
  name: string;
  version: string;
  /** LOADED, FAILED, QUARANTINED (it froze the agent) or SKIPPED (safe mode) */
  status: string;
  reason: string;
  details: string;
}

export type PolicyType = "age" | "size" | "manual";

export interface ProblemForm {
  code: number;
  reason: string;
  details: string;
  suggestion: string;
}

/** Way in which a path gets its stream: a program of the server, one of the agent, or a pull by the server. */
export type PublishMode = "server" | "agent" | "pull";

export interface RecordingFile {
  filename: string;
  device: string;
  /** bytes of all segments; those of the joined file may differ */
  file_size: number;
  modified_time: string;
  duration: number;
  format: Open<RecordingFormat>;
  /** left out without media, or while the agent's secret is unusable */
  download_url?: string;
  /** small JPEG, made at the first request; only if a plugin decodes recordings */
  thumbnail_url?: string;
}

export interface RecordingFileList {
  files: RecordingFile[];
  total: number;
  limit: number;
  offset: number;
}

export type RecordingFormat = "fmp4" | "mpegts";

/** `complete` is true if the recording was stopped while the agent was running. */
export interface RecordingInfo {
  filename: string;
  device: string;
  /** bytes of all segments; those of the joined file may differ */
  file_size: number;
  duration: number;
  created_time: string;
  format: Open<RecordingFormat>;
  complete: boolean;
  segments: SegmentFile[];
  reason?: string;
  /** left out without media, or while the agent's secret is unusable */
  download_url?: string;
  /** small JPEG, made at the first request; only if a plugin decodes recordings */
  thumbnail_url?: string;
}

export interface RecordingMetricsForm {
  active_recordings: number;
  /** recordings under way, by camera */
  recordings: Record<string, RunningRecordingForm>;
  /** recordings whose first picture was stored */
  started: number;
  /** times that a recording stopped growing, or did not begin to */
  failures: number;
  /** times that a recording grew again after a failure */
  recoveries: number;
  /** recordings that have ended */
  stopped: number;
}

export interface RecordingStarted {
  device: string;
  /** id of the recording */
  filename: string;
  status: Open<"STARTING" | "RECORDING">;
  start_time: string;
  format: Open<RecordingFormat>;
  duration?: number;
  /** true: it ends by itself after duration */
  auto_stop: boolean;
  /** sentences about tracks that are left out, or that have decided the format */
  notes?: string[];
}

/** `reason` tells why a recording differs from the request, for example has no segments. */
export interface RecordingStopped {
  device: string;
  filename: string;
  status: "STOPPED";
  start_time: string;
  end_time: string;
  /** length of the media in whole seconds */
  duration: number;
  /** bytes of all segments */
  file_size: number;
  format: Open<RecordingFormat>;
  segments: SegmentForm[];
  reason?: string;
}

/** Result of a reload; keys have their tables, such as `server.max_calls`. */
export interface ReloadForm {
  /** keys whose new values are in effect */
  changed: string[];
  /** keys whose new values take effect at the next start of the agent */
  needs_restart: string[];
  /** sentences about settings that take effect and do not decide at the moment */
  notes: string[];
  /** sentences about parts that failed to take over their settings; the others have done so */
  errors: string[];
}

/** Result of remove_external_stream. */
export interface Removed {
  stream_url: string;
  status: "REMOVED";
  timestamp: string;
}

/** Last event that the client has got, on this or on an earlier connection. */
export interface ReplaySince {
  /** from the answer of subscribe_events */
  boot_id: string;
  /** number of that event */
  sequence: number;
}

/** The policy as it was stored. Without one, `manual` and not enabled: the limits of the configuration apply. */
export interface RetentionForm {
  policy_type: Open<PolicyType>;
  enabled: boolean;
  max_age_days?: number;
  max_size_gb?: number;
  /** the limits that are in force now */
  message: string;
}

/** Role of a user; each includes the ones before it. */
export type Role = "viewer" | "operator" | "admin";

/** Answered calls of all connections; `unknown` stands for all methods that do not exist. */
export interface RpcMetricsForm {
  calls: number;
  errors: number;
  /** methods that have been called */
  methods: Record<string, MethodMetricsForm>;
}

export interface RunningRecordingForm {
  /** STARTING, RECORDING or ERROR */
  state: string;
  /** bytes of all segments */
  file_size: number;
  /** seconds of media */
  duration: number;
}

export interface SegmentFile {
  filename: string;
  file_size: number;
  duration: number;
  /** left out while the agent's secret is unusable */
  download_url?: string;
}

export interface SegmentForm {
  filename: string;
  file_size: number;
  duration: number;
}

/** `build_date` is empty if the build recorded none. */
export interface ServerInfo {
  name: string;
  version: string;
  /** version of the methods and events, MAJOR.MINOR: a larger MINOR adds, another MAJOR breaks */
  contract_version: string;
  build_date: string;
  /** always empty; kept for older clients */
  go_version: string;
  python_version: string;
  architecture: string;
  /** features that this agent offers, as it is configured */
  capabilities: (Open<"snapshots" | "recording" | "streaming" | "events">)[];
  /** formats of pictures and recordings, and the protocols of streams that are served now */
  supported_formats: string[];
  /** most cameras that Linux numbers, which this agent can serve */
  max_cameras: number;
  plugins: PluginForm[];
  /** true: only plugins that came with the agent are loaded */
  safe_mode: boolean;
}

/** Result of `virtual_camera.set_fault`: the parameters. */
export interface SetFaultResult {
  device: string;
  fault: Open<"stall" | "corrupt" | "vanish">;
  enabled: boolean;
}

/** Reason for which a camera's exposure counts as settled after its start. `BRIGHTNESS`: the pictures became equally bright. `TIME`: the configured time passed. `LIMIT`: the pictures stayed black or white, or their brightness kept changing, until the longest wait was over. */
export type SettledBy = "brightness" | "time" | "limit";

/** A snapshot that was just taken. `capture_time` is the duration of the capture in seconds. */
export interface SnapshotForm {
  device: string;
  filename: string;
  file_path: string;
  file_size: number;
  resolution: string;
  format: Open<PictureFormat>;
  status: "SUCCESS";
  tier_used: number;
  tier_name: string;
  capture_time: number;
  /** time to which age_ms refers, just before it was stored */
  timestamp: string;
  captured_at: string;
  captured_at_source: Open<CapturedAtSource>;
  age_ms: number;
  /** false: the camera had just started and was still adjusting its exposure */
  settled: boolean;
  /** why the exposure counts as settled: brightness: the pictures were equally bright; time: the configured time had passed; limit: the pictures stayed black or white, or kept changing, until the longest wait was over; left out where the agent does not wait, and before */
  settled_by?: Open<SettledBy>;
  /** time from the first picture after the camera's start until its exposure settled; left out as settled_by */
  settle_ms?: number;
  tiers_tried: TierAttemptForm[];
  /** left out while the agent's secret is unusable */
  download_url?: string;
}

/** `resolution` is read from the file's header; empty if the file is neither JPEG nor PNG. */
export interface SnapshotInfo {
  filename: string;
  device: string;
  file_size: number;
  created_time: string;
  timestamp: string;
  resolution: string;
  format: Open<PictureFormat>;
  status: "SUCCESS";
  file_path: string;
  /** left out while the agent's secret is unusable */
  download_url?: string;
  /** small JPEG, made at the first request */
  thumbnail_url?: string;
}

export interface SnapshotMetricsForm {
  /** by rank */
  tiers: TierMetricsForm[];
}

/** `uptime` is in seconds. */
export interface StatusForm {
  status: Open<"HEALTHY" | "DEGRADED" | "UNHEALTHY">;
  uptime: number;
  version: string;
  /** STARTING, RUNNING, STOPPING, STOPPED or ERROR, by the component's name */
  components: Record<string, string>;
  checks: CheckForm[];
  /** true: only plugins that came with the agent are loaded */
  safe_mode: boolean;
  timestamp: string;
}

/** All sizes are in bytes; the first four fields are about the disk for recordings. */
export interface StorageInfoForm {
  total_space: number;
  used_space: number;
  /** free for the agent's account */
  available_space: number;
  /** used part of the used and available space */
  usage_percentage: number;
  /** all recordings; left out while the agent counts them, at its start */
  recordings_size?: number;
  /** all snapshots; left out while the agent counts them, or their disk is not there */
  snapshots_size?: number;
  /** the disk for recordings or that for snapshots has less than health.low_space_bytes available */
  low_space_warning: boolean;
  /** hours until the disk for recordings is full at the present rate; left out while nothing is recorded */
  hours_left?: number;
  /** policy of deletion, and the limits that are in force */
  retention: RetentionForm;
}

/** Properties of an external stream, as far as they are known. */
export interface StreamCapabilities {
  /** scheme of the address */
  protocol: string;
  /** codec of the first video track; empty if unknown */
  codec: string;
  /** how it is known: added, configuration, or the search that found it */
  source: string;
  stream_type: string;
  port: number;
  /** path and query of the address; secret parameters are hidden */
  stream_path: string;
  /** the camera asks for a user and a password */
  needs_credentials: boolean;
  /** name that the camera's server gives itself */
  server: string;
  tracks: StreamTrack[];
  /** sentences about what cannot be recorded or relayed, and why */
  notes: string[];
}

export interface StreamEntry {
  name: string;
  /** type of its source in the media server, such as rtspSession; publisher while it waits for one */
  source: string;
  ready: boolean;
  readers: number;
  bytes_sent: number;
}

/** Unknown values are absent. */
export interface StreamMetrics {
  /** bytes sent to readers since the stream began */
  bytes_sent: number;
  /** frames that the publisher sent to the media server since its start, up to 2 s old; absent if the server pulls, nothing is live, the publisher does not report, or the server runs it on input that does not come from the agent */
  frames_sent?: number;
  /** bits per second from the publisher or camera to the media server: the average of the last 5 to 7 s, or since the agent's last look at the path (every 2 s while it holds the stream); absent while nothing is live and in the first seconds */
  bitrate?: number;
  /** frame rate of the camera, as configured or detected; absent while nothing is live */
  fps?: number;
}

/** Streams of the media server, those of other clients included; 0 while it is silent. */
export interface StreamMetricsForm {
  /** paths with a stream */
  active_streams: number;
  /** paths */
  total_streams: number;
  /** readers of all streams without the agent's own */
  total_viewers: number;
}

export interface StreamStarted {
  device: string;
  stream_name: string;
  stream_url: string;
  status: "STARTED";
  start_time: string;
  /** time without readers until the stream ends, in seconds with the unit, such as 10s or 2.5s */
  auto_close_after: string;
  /** the publisher's command without its input; empty if the media server pulls */
  ffmpeg_command: string;
}

export interface StreamStatusForm {
  device: string;
  stream_name: string;
  /** ACTIVE: live; STARTING: wanted, not live yet; ERROR: wanted, failed for reason; INACTIVE: not wanted */
  status: Open<"ACTIVE" | "INACTIVE" | "ERROR" | "STARTING" | "STOPPING">;
  ready: boolean;
  /** the media server or the agent runs the publisher; pull: the server opens the camera's address */
  mode: Open<PublishMode>;
  /** reason for the mode; media_server.publishers chooses between server and agent */
  mode_reason: Open<"server_on_this_host" | "server_elsewhere" | "camera_has_address">;
  ffmpeg_process: FfmpegProcess;
  mediamtx_path: PathForm;
  metrics: StreamMetrics;
  /** absent while nothing is live */
  start_time?: string;
  reason?: string;
}

export interface StreamStopped {
  device: string;
  stream_name: string;
  status: "STOPPED";
  start_time: string;
  end_time: string;
  duration: number;
  stream_continues: boolean;
}

/** Track of a stream, as its description names it. */
export interface StreamTrack {
  /** video, audio or application */
  kind: string;
  /** such as H264, H265, AAC, OPUS, KLV */
  codec: string;
}

export interface StreamUrlForm {
  device: string;
  stream_name: string;
  stream_url: string;
  /** opening the address gives the stream: it is live, or the media server starts it on demand */
  available: boolean;
  active_consumers: number;
  /** READY: live; NOT_READY: not live now; ERROR: a client holds the stream, but it does not become live */
  stream_status: Open<"READY" | "NOT_READY" | "ERROR">;
}

export interface StreamUrls {
  rtsp: string;
  hls: string;
  webrtc: string;
}

export interface Subscribed {
  subscribed: true;
  topics: string[];
  filters: Record<string, string>;
  /** start of the agent that the numbers of its events belong to */
  boot_id: string;
  /** number of the newest event; those published from now on are higher */
  sequence: number;
}

export interface SubscriptionStats {
  global_stats: GlobalStats;
  client_topics: string[];
  client_id: string;
}

/** Load of the host. What the kernel or the disk does not tell is absent. */
export interface SystemMetricsForm {
  /** busy share of all processors between the last two samples, in percent */
  cpu_usage?: number;
  /** used share of the memory, in percent */
  memory_usage?: number;
  /** used share of the disk of the recordings, in percent */
  disk_usage?: number;
  /** running tasks of the agent; the name is kept for clients */
  goroutines?: number;
  /** bytes received by all network interfaces but loopback since the host's boot */
  network_in?: number;
  /** bytes sent by them */
  network_out?: number;
  /** processes that run or wait, averaged over a minute */
  load_average?: number;
  /** open WebSocket connections of the agent */
  connections: number;
}

export interface SystemStatusForm {
  /** starting: no camera yet; partial: parts are still starting, or there are problems */
  status: Open<"starting" | "partial" | "ready">;
  message: string;
  available_cameras: string[];
  discovery_active: boolean;
  problems: ProblemForm[];
}

export interface TierAttemptForm {
  tier: number;
  name: string;
  reason: string;
  /** why the tier gave no picture, as a sentence */
  details: string;
  /** duration of the attempt; 0 if the tier was not tried */
  ms: number;
}

/** Numbers of one snapshot tier; the percentiles are those of its last 256 pictures, absent before the first. */
export interface TierMetricsForm {
  rank: number;
  name: string;
  /** pictures */
  count: number;
  /** pictures and failures */
  attempts: number;
  /** failed attempts by reason */
  failures: Record<string, number>;
  /** times that the tier was left out, by reason */
  skips: Record<string, number>;
  p50_ms?: number;
  p95_ms?: number;
}

export interface Unsubscribed {
  unsubscribed: true;
  /** topics that were subscribed to */
  topics: string[];
}

/** A view link, whose addresses are shown only here. With `device` null, replace `{device}` in them by a camera's id. */
export interface ViewLinkCreated {
  id: string;
  /** null if the link shows all cameras */
  device: string | null;
  /** user who made the link */
  user: string;
  created_at: string;
  expires_at: string;
  /** live view, multipart/x-mixed-replace, relative to the agent's address */
  url: string;
  /** single picture, relative to the agent's address */
  snapshot_url: string;
}

export interface ViewLinkEntry {
  id: string;
  /** null if the link shows all cameras */
  device: string | null;
  /** user who made the link */
  user: string;
  created_at: string;
  expires_at: string;
}

export interface ViewLinkList {
  links: ViewLinkEntry[];
  total: number;
}

export interface ViewLinkRevoked {
  id: string;
  revoked: true;
}
