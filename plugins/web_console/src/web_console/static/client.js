// Written by scripts/js-client from rpc.discover: change the runtime or the agent's types, and run it again.

/** Base of all errors of this client. */
export class AgentClientError extends Error {
  constructor(message) {
    super(message);
    this.name = new.target.name;
  }
}

/** There is no connection, or it ended before the reply; the agent may have done what was asked. */
export class ConnectionLost extends AgentClientError {}

/** The reply did not arrive in time; the agent may still do what was asked. */
export class CallTimeout extends AgentClientError {
  constructor(method, timeoutMs) {
    super(`${method} was not answered within ${timeoutMs} ms.`);
    this.method = method;
    this.timeoutMs = timeoutMs;
  }
}

/** The agent answered with an error. `reason` is a stable word, `suggestion` the next step, `data` has all members. */
export class CallFailed extends AgentClientError {
  constructor(error) {
    const data = error.data ?? {};
    super(data.details ?? error.message);
    this.code = error.code;
    this.reason = data.reason ?? "";
    this.suggestion = data.suggestion ?? "";
    this.data = data;
  }
}

/** Longest time of a timer in all browsers and in Node, almost 25 days. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

const DEFAULTS = {
  token: undefined,
  callTimeoutMs: 30_000,
  connectTimeoutMs: 10_000,
  keepaliveMs: 20_000,
  firstPauseMs: 500,
  longestPauseMs: 30_000,
  random: Math.random,
};

function failure(error) {
  const Kind = ERRORS[error?.code] ?? CallFailed;
  return new Kind(error ?? {});
}

function report(error) {
  if (typeof globalThis.reportError === "function") globalThis.reportError(error);
  else console.error(error);
}

/** A promise with its two functions; a rejection that nothing waits for is no error of the program. */
function deferred() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  made.promise.catch(() => {});
  return made;
}

/** Connection to an agent that is opened again when it is lost. */
class Connection {
  #url;
  #options;
  #token;
  #socket = null;
  #opened = deferred();
  #state = "new";
  #ready = deferred();
  #pending = new Map();
  #lastId = 0;
  #listeners = new Map();
  #subscriptions = new Set();
  #changing = Promise.resolve();
  #bootId = null;
  /** Number of the last event of all: what precedes it has arrived, because events come in the order of their numbers. */
  #newest = 0;
  /** Number of the last event of each topic, or of the newest one when the topic was subscribed to. */
  #seen = new Map();
  #held = null;
  #attempts = 0;
  #connectedAt = 0;
  #retry = null;
  #keepalive = null;

  /** `url` is ws://HOST:8002/ws or wss://HOST:8002/ws; the options are described in client.d.ts. */
  constructor(url, options = {}) {
    this.#url = String(url);
    // Looked up now: a program may have set it after this module was loaded.
    this.#options = { ...DEFAULTS, WebSocket: globalThis.WebSocket, ...options };
    this.#token = this.#options.token;
    if (typeof this.#options.WebSocket !== "function") {
      throw new TypeError("There is no global WebSocket here: give one, such as that of npm's ws, as an option.");
    }
  }

  /** "new", "connecting", "connected", "waiting" (for the next attempt) or "closed". */
  get state() {
    return this.#state;
  }

  /** Connect and authenticate. Rejects if the first attempt fails; later losses are repaired without a call. */
  async connect() {
    if (this.#state !== "new") throw new AgentClientError(`This client is ${this.#state}: make another one.`);
    try {
      await this.#open();
    } catch (error) {
      this.#end(error);
      throw error;
    }
    return this;
  }

  /** Close the connection for good; calls under way reject with ConnectionLost. */
  async close() {
    const socket = this.#socket;
    this.#end(new ConnectionLost("This client was closed."));
    if (socket === null || socket.readyState === 3) return;
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, 1_000);
      socket.addEventListener("close", () => (clearTimeout(timer), resolve()));
    });
  }

  /**
   * Look at once if the agent answers, such as after the computer slept or changed its network: end a pause between two
   * attempts, and close a connection on which there is no answer within `timeoutMs`.
   */
  probe(timeoutMs = 5_000) {
    if (this.#state === "waiting") {
      clearTimeout(this.#retry);
      this.#open().catch(() => {});
    } else if (this.#state === "connected") this.#ping(this.#socket, timeoutMs);
  }

  /** Use another token from now on, and authenticate with it if there is a connection. */
  async setToken(token) {
    const before = this.#token;
    this.#token = token;
    if (this.#state !== "connected") return;
    try {
      await this.#authenticate();
    } catch (error) {
      if (error instanceof CallFailed && this.#token === token) this.#token = before;
      throw error;
    }
  }

  /** Return the address of a `download_url` or `thumbnail_url`. */
  fileUrl(path) {
    return new URL(path, this.#url.replace(/^ws/, "http")).href;
  }

  /**
   * Call a method by its name. While the connection is being opened again, the call waits for it, within its time limit.
   * `options.timeoutMs` replaces `callTimeoutMs`, `options.signal` gives the call up.
   */
  call(method, params = {}, options = {}) {
    const timeoutMs = options.timeoutMs ?? this.#options.callTimeoutMs;
    return this.#limited(method, timeoutMs, options.signal, async (task) => {
      await this.#ready.promise;
      return task.isOver ? undefined : this.#send(method, params, task);
    });
  }

  /** Listen to "connected", "disconnected", "closed" or a notification's method; returns a function that ends it. */
  on(name, listener) {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  /**
   * Receive the events of `topics`, also over lost connections: what the agent still has of the events in between is
   * delivered, and "system.events_dropped" tells what is not. `options.device` leaves out events about other cameras.
   */
  async subscribe(topics, listener, options = {}) {
    const names = (typeof topics === "string" ? [topics] : [...topics]).map((name) => ALIASES[name] ?? name);
    const subscription = { names: new Set(names), device: options.device, listener, refusal: null };
    this.#subscriptions.add(subscription);
    try {
      await this.#change(() => this.#announce(names));
      if (subscription.refusal) throw subscription.refusal;
    } catch (error) {
      this.#subscriptions.delete(subscription);
      throw error;
    }
    return { close: () => this.#unsubscribe(subscription) };
  }

  async #unsubscribe(subscription) {
    if (!this.#subscriptions.delete(subscription) || this.#state === "closed") return;
    await this.#change(async () => {
      const names = [...subscription.names];
      const unused = names.filter((name) => this.#filter(name) === null);
      for (const name of unused) this.#seen.delete(name);
      if (unused.length > 0) await this.call("unsubscribe_events", { topics: unused });
      await this.#announce(names.filter((name) => !unused.includes(name)));
    });
  }

  /** Do one change of the agent's subscriptions after the other. */
  #change(change) {
    const changed = this.#changing.then(change);
    this.#changing = changed.catch(() => {});
    return changed;
  }

  /** Return the filter that all subscriptions to a topic allow: null if there is no subscription, "" for no filter. */
  #filter(name) {
    const devices = new Set();
    for (const each of this.#subscriptions) if (each.names.has(name)) devices.add(each.device ?? "");
    if (devices.size === 0) return null;
    return devices.size === 1 ? [...devices][0] : "";
  }

  /** Subscribe to topics, those with the same filter in one call. */
  async #announce(names) {
    const groups = new Map();
    for (const name of new Set(names)) {
      const filter = this.#filter(name);
      if (filter !== null) groups.set(filter, [...(groups.get(filter) ?? []), name]);
    }
    for (const [filter, topics] of groups) {
      this.#note(await this.call("subscribe_events", { topics, ...filters(filter) }), topics);
    }
  }

  /**
   * Subscribe to everything again, and ask for what was missed meanwhile: in one call, because two replays would not
   * come in one order. The last event is asked for once more: it may feed several topics, of which the loss came between.
   */
  async #restore() {
    const topics = [...new Set([...this.#subscriptions].flatMap((each) => [...each.names]))];
    if (topics.length === 0) return;
    const devices = new Set(topics.map((name) => this.#filter(name)));
    const more = devices.size === 1 ? filters([...devices][0]) : {};
    if (this.#bootId !== null && this.#seen.size > 0) {
      more.replay_since = { boot_id: this.#bootId, sequence: Math.max(0, this.#newest - 1) };
    }
    for (const [answer, names] of await this.#subscribeAgain(topics, more)) this.#note(answer, names);
  }

  /** Return the answers with their topics. Topics that the agent does not offer any more are told, and given up. */
  async #subscribeAgain(topics, more) {
    try {
      return [[await this.#limitedSend("subscribe_events", { topics, ...more }), topics]];
    } catch (error) {
      if (!(error instanceof InvalidParams)) throw error;
      if (topics.length === 1) {
        this.#refuse(topics[0], error);
        return [];
      }
    }
    const answers = [];
    for (const name of topics) answers.push(...(await this.#subscribeAgain([name], more)));
    return answers;
  }

  #refuse(topic, error) {
    for (const each of this.#subscriptions) {
      if (!each.names.delete(topic)) continue;
      each.refusal = error;
      if (each.names.size === 0) this.#subscriptions.delete(each);
    }
    this.#seen.delete(topic);
    this.#emit("refused", { topic, error });
  }

  /** Note where the events of new topics begin; another start of the agent counts from the beginning. */
  #note(answer, topics) {
    const { boot_id: bootId = null, sequence = 0 } = answer; // An older agent tells neither.
    if (this.#seen.size === 0) this.#newest = sequence;
    else if (bootId !== this.#bootId) {
      this.#newest = 0;
      for (const name of this.#seen.keys()) this.#seen.set(name, 0);
    }
    this.#bootId = bootId;
    for (const name of topics) if (!this.#seen.has(name)) this.#seen.set(name, sequence);
  }

  #open() {
    this.#state = "connecting";
    const socket = new this.#options.WebSocket(this.#url);
    const opened = (this.#opened = deferred());
    const timer = setTimeout(
      () => this.#lose(socket, new ConnectionLost("The agent does not answer.")),
      this.#options.connectTimeoutMs,
    );
    this.#socket = socket;
    this.#held = [];
    socket.onmessage = (event) => this.#receive(socket, event.data);
    let cause = ""; // Only Node tells it.
    socket.onerror = (event) => (cause = event?.message ?? ""); // A close follows.
    socket.onclose = (event) => this.#lose(socket, new ConnectionLost(closed(event, cause)));
    socket.onopen = () => this.#greet(socket).catch((error) => this.#lose(socket, error));
    return opened.promise.finally(() => clearTimeout(timer));
  }

  /** Authenticate and subscribe again, on a socket that has just opened; then let calls and events through. */
  async #greet(socket) {
    await this.#authenticate();
    await this.#restore();
    if (socket !== this.#socket) return;
    const held = this.#held;
    this.#held = null;
    this.#state = "connected";
    this.#connectedAt = Date.now();
    this.#watch(socket);
    this.#ready.resolve();
    this.#opened.resolve();
    this.#emit("connected", { attempts: this.#attempts });
    for (const each of held) this.#deliver(each);
  }

  async #authenticate() {
    const token = typeof this.#token === "function" ? await this.#token() : this.#token;
    if (token !== undefined && token !== null) await this.#limitedSend("authenticate", { auth_token: token });
  }

  /** Close a connection that does not answer; without this a cable that was pulled would go unnoticed. */
  #watch(socket) {
    const everyMs = this.#options.keepaliveMs;
    if (!everyMs) return;
    clearInterval(this.#keepalive);
    this.#keepalive = setInterval(() => this.#ping(socket, everyMs), everyMs);
  }

  #ping(socket, timeoutMs) {
    this.#limitedSend("ping", {}, timeoutMs).catch((error) => {
      if (error instanceof CallTimeout) this.#lose(socket, new ConnectionLost("The agent has stopped answering."));
    });
  }

  #lose(socket, error) {
    if (socket !== this.#socket) return;
    const wasConnected = this.#state === "connected";
    this.#drop(error);
    if (wasConnected) {
      this.#ready = deferred();
      if (Date.now() - this.#connectedAt > this.#pauseMs(1)) this.#attempts = 0;
    }
    this.#opened.reject(error);
    if (this.#connectedAt === 0) return; // `connect` rejects.
    if (isFinal(error) && typeof this.#token !== "function") this.#end(error);
    else this.#waitAndOpen(error);
  }

  #pauseMs(random) {
    const { firstPauseMs, longestPauseMs } = this.#options;
    return Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(this.#attempts, 30)) * (0.5 + random / 2);
  }

  #waitAndOpen(error) {
    const pauseMs = Math.max(this.#pauseMs(this.#options.random()), error.data?.retry_after_ms ?? 0);
    this.#attempts += 1;
    this.#state = "waiting";
    this.#retry = setTimeout(() => this.#open().catch(() => {}), pauseMs);
    this.#emit("disconnected", { error, pauseMs });
  }

  #end(error) {
    if (this.#state === "closed") return;
    this.#state = "closed";
    clearTimeout(this.#retry);
    this.#drop(error);
    this.#opened.reject(error);
    this.#ready.reject(error);
    const ready = deferred();
    ready.reject(error);
    this.#ready = ready;
    this.#emit("closed", { error });
  }

  /** Let go of the socket and fail the calls that wait on it. */
  #drop(error) {
    const socket = this.#socket;
    clearInterval(this.#keepalive);
    this.#socket = null;
    this.#held = null;
    socket?.close();
    const failed = error instanceof ConnectionLost ? error : new ConnectionLost(error.message);
    for (const reply of this.#pending.values()) reply.reject(failed);
    this.#pending.clear();
  }

  /** Send a request on the present socket and return the promise of its result; `task` gets the id. */
  #send(method, params, task) {
    if (this.#socket === null || this.#socket.readyState !== 1) {
      return Promise.reject(new ConnectionLost("There is no connection to the agent."));
    }
    const reply = deferred();
    task.id = this.#lastId += 1;
    this.#pending.set(task.id, reply);
    this.#socket.send(JSON.stringify({ jsonrpc: "2.0", id: task.id, method, params }));
    return reply.promise;
  }

  #limitedSend(method, params, timeoutMs = this.#options.callTimeoutMs) {
    return this.#limited(method, timeoutMs, undefined, (task) => this.#send(method, params, task));
  }

  /** Return what `work` returns, unless the time is over or the signal aborts before. */
  async #limited(method, timeoutMs, signal, work) {
    signal?.throwIfAborted();
    const over = deferred();
    const task = { isOver: false, id: null };
    const abort = () => over.reject(signal.reason);
    const limitMs = Math.min(timeoutMs, LONGEST_TIMER_MS); // A timer with a longer time would end at once.
    const timer = setTimeout(() => over.reject(new CallTimeout(method, limitMs)), limitMs);
    signal?.addEventListener("abort", abort);
    try {
      return await Promise.race([work(task), over.promise]);
    } finally {
      task.isOver = true;
      this.#pending.delete(task.id);
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  }

  #receive(socket, text) {
    if (socket !== this.#socket) return;
    let message = null;
    try {
      message = JSON.parse(text);
    } catch {
      // Not an agent, or a damaged message: below.
    }
    if (message === null || typeof message !== "object") {
      this.#lose(socket, new ConnectionLost("The server does not speak JSON-RPC."));
    } else if (typeof message.method === "string") {
      if (this.#held !== null && message.method !== "system.auth_expired") this.#held.push(message);
      else this.#deliver(message);
    } else {
      const reply = this.#pending.get(message.id);
      if ("error" in message) reply?.reject(failure(message.error));
      else reply?.resolve(message.result);
    }
  }

  #deliver({ method, params }) {
    if (this.#seen.has(method) && typeof params?.sequence === "number") {
      if (params.sequence <= this.#seen.get(method)) return; // Another topic of the same call needed it.
      this.#seen.set(method, params.sequence);
    }
    const isPassed = this.#seen.has(method) || method === "system.events_dropped";
    if (isPassed && typeof params?.sequence === "number") this.#newest = Math.max(this.#newest, params.sequence);
    if (method === "system.auth_expired" && typeof this.#token === "function") {
      this.#authenticate().catch(report);
    }
    const event = { method, params };
    for (const each of [...this.#subscriptions]) {
      const isMeant = each.device === undefined || params?.device === undefined || params.device === each.device;
      if (isMeant && each.names.has(method)) this.#hand(each.listener, event);
    }
    this.#emit(method, event);
  }

  #emit(name, value) {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) this.#hand(listener, value);
  }

  #hand(listener, value) {
    // A listener's error, also that of an async one, ends neither the connection nor the delivery to others.
    try {
      const result = listener(value);
      if (typeof result?.then === "function") result.then(undefined, report);
    } catch (error) {
      report(error);
    }
  }
}

/** Return the filters of subscribe_events: none for "". */
function filters(device) {
  return device === "" ? {} : { filters: { device } };
}

function closed(event, cause) {
  if (event.code === 1012) return "The agent is stopping or restarting.";
  if (event.code === 1008) return "The agent closed the connection: its credentials were revoked, or it was too fast.";
  return `The connection to the agent was lost (${event.code}${cause === "" ? "" : `: ${cause}`}).`;
}

/** Return true if another attempt with the same credentials would fail too. */
function isFinal(error) {
  return error instanceof CallFailed && (error.code === -32001 || error.code === -32002);
}

/** Version of the contract that this file was written from. */
export const CONTRACT_VERSION = "1.0";

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

const ERRORS = {
  [-32700]: ParseError,
  [-32600]: InvalidRequest,
  [-32601]: MethodNotFound,
  [-32602]: InvalidParams,
  [-32001]: AuthenticationFailed,
  [-32002]: PermissionDenied,
  [-32010]: NotFound,
  [-32020]: InvalidState,
  [-32030]: Unsupported,
  [-32040]: RateLimited,
  [-32050]: DependencyFailed,
  [-32603]: InternalError,
};

/** Topics with another name, by that name. */
const ALIASES = {
  "recording.started": "recording.start",
  "recording.stopped": "recording.stop"
};

/** Client of a camera agent; a method for each of the agent's. */
export class AgentClient extends Connection {
  /** List all cameras, including disconnected ones. */
  getCameraList(params = {}, options = {}) {
    return this.call("get_camera_list", params, options);
  }

  /** Return one camera with its metrics. */
  getCameraStatus(params = {}, options = {}) {
    return this.call("get_camera_status", params, options);
  }

  /** Return the formats, modes and controls of a camera. */
  getCameraCapabilities(params = {}, options = {}) {
    return this.call("get_camera_capabilities", params, options);
  }

  /** Set image controls of a camera, read them back, and keep the values over replugs and restarts. */
  setCameraControls(params = {}, options = {}) {
    return this.call("set_camera_controls", params, options);
  }

  /** List the stored snapshots, newest first. */
  listSnapshots(params = {}, options = {}) {
    return this.call("list_snapshots", params, options);
  }

  /** Return one stored snapshot. */
  getSnapshotInfo(params = {}, options = {}) {
    return this.call("get_snapshot_info", params, options);
  }

  /** Delete a stored snapshot. */
  deleteSnapshot(params = {}, options = {}) {
    return this.call("delete_snapshot", params, options);
  }

  /** Take a picture and return it, without storing it. */
  getPicture(params = {}, options = {}) {
    return this.call("get_picture", params, options);
  }

  /** Return the agent's progress at start and its problems. */
  getSystemStatus(params = {}, options = {}) {
    return this.call("get_system_status", params, options);
  }

  /** Return the version, capabilities and plugins of the agent. */
  getServerInfo(params = {}, options = {}) {
    return this.call("get_server_info", params, options);
  }

  /** Take a picture with the fastest tier that works at the moment. */
  takeSnapshot(params = {}, options = {}) {
    return this.call("take_snapshot", params, options);
  }

  /** Return the health of the agent and its components, from memory. */
  getStatus(params = {}, options = {}) {
    return this.call("get_status", params, options);
  }

  /** Read the configuration again, apply what needs no restart, and return what became of each changed key. */
  reloadConfiguration(params = {}, options = {}) {
    return this.call("reload_configuration", params, options);
  }

  /** Search the configured networks for streams of UAVs and cameras. */
  discoverExternalStreams(params = {}, options = {}) {
    return this.call("discover_external_streams", params, options);
  }

  /** Add a network stream as a camera, after a look at it; it is kept over restarts. */
  addExternalStream(params = {}, options = {}) {
    return this.call("add_external_stream", params, options);
  }

  /** Remove a network stream; its recordings and snapshots stay. */
  removeExternalStream(params = {}, options = {}) {
    return this.call("remove_external_stream", params, options);
  }

  /** List the added network streams and those that were found. */
  getExternalStreams(params = {}, options = {}) {
    return this.call("get_external_streams", params, options);
  }

  /** Set how often the agent searches for streams by itself; it is kept over restarts. */
  setDiscoveryInterval(params = {}, options = {}) {
    return this.call("set_discovery_interval", params, options);
  }

  /** Start recording a camera. */
  startRecording(params = {}, options = {}) {
    return this.call("start_recording", params, options);
  }

  /** Stop recording a camera. */
  stopRecording(params = {}, options = {}) {
    return this.call("stop_recording", params, options);
  }

  /** List the stored recordings, newest first. */
  listRecordings(params = {}, options = {}) {
    return this.call("list_recordings", params, options);
  }

  /** Return one stored recording with its segments. */
  getRecordingInfo(params = {}, options = {}) {
    return this.call("get_recording_info", params, options);
  }

  /** Delete a recording that has ended, with all its files. */
  deleteRecording(params = {}, options = {}) {
    return this.call("delete_recording", params, options);
  }

  /** Return the used and free space. */
  getStorageInfo(params = {}, options = {}) {
    return this.call("get_storage_info", params, options);
  }

  /** Set when stored media are deleted. */
  setRetentionPolicy(params = {}, options = {}) {
    return this.call("set_retention_policy", params, options);
  }

  /** Delete at once what the limits in force exclude. */
  cleanupOldFiles(params = {}, options = {}) {
    return this.call("cleanup_old_files", params, options);
  }

  /** Keep a stream live for this connection. */
  startStreaming(params = {}, options = {}) {
    return this.call("start_streaming", params, options);
  }

  /** End this connection's hold on a stream. */
  stopStreaming(params = {}, options = {}) {
    return this.call("stop_streaming", params, options);
  }

  /** Return the URL of a camera's stream. */
  getStreamUrl(params = {}, options = {}) {
    return this.call("get_stream_url", params, options);
  }

  /** Return the status of a camera's stream. */
  getStreamStatus(params = {}, options = {}) {
    return this.call("get_stream_status", params, options);
  }

  /** List all streams of the media server. */
  getStreams(params = {}, options = {}) {
    return this.call("get_streams", params, options);
  }

  /** Answer `pong`, to show that the agent responds. */
  ping(params = {}, options = {}) {
    return this.call("ping", params, options);
  }

  /** Authenticate this connection; call again after the credentials have expired. */
  authenticate(params = {}, options = {}) {
    return this.call("authenticate", params, options);
  }

  /** Return the description of all methods and events as an OpenRPC document. */
  rpcDiscover(params = {}, options = {}) {
    return this.call("rpc.discover", params, options);
  }

  /** Subscribe this connection to more topics. */
  subscribeEvents(params = {}, options = {}) {
    return this.call("subscribe_events", params, options);
  }

  /** End the subscription to these topics, or to all. */
  unsubscribeEvents(params = {}, options = {}) {
    return this.call("unsubscribe_events", params, options);
  }

  /** Return the number of subscriptions, and the topics of this connection. */
  getSubscriptionStats(params = {}, options = {}) {
    return this.call("get_subscription_stats", params, options);
  }

  /** List the API keys, and the keys that sign calls, without the keys themselves. */
  listApiKeys(params = {}, options = {}) {
    return this.call("list_api_keys", params, options);
  }

  /** Revoke a key; its connections and downloads end within a second. */
  revokeApiKey(params = {}, options = {}) {
    return this.call("revoke_api_key", params, options);
  }

  /** Create a key for a user. */
  createApiKey(params = {}, options = {}) {
    return this.call("create_api_key", params, options);
  }

  /** Make a link that shows one camera, or all, to pages of other origins; it can do nothing else. */
  createViewLink(params = {}, options = {}) {
    return this.call("create_view_link", params, options);
  }

  /** List the view links without their secrets, which are not stored. */
  listViewLinks(params = {}, options = {}) {
    return this.call("list_view_links", params, options);
  }

  /** Revoke a view link; the views that it shows end within a second. */
  revokeViewLink(params = {}, options = {}) {
    return this.call("revoke_view_link", params, options);
  }

  /** Return the numbers of the agent and its services, from memory. */
  getMetrics(params = {}, options = {}) {
    return this.call("get_metrics", params, options);
  }

  /** Make a virtual camera stall, send damaged frames or vanish, or end such a fault. */
  virtualCameraSetFault(params = {}, options = {}) {
    return this.call("virtual_camera.set_fault", params, options);
  }
}
