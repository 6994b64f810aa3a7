import { AgentClock } from "./agent_clock.js";
import { AgentClient, CallFailed } from "./client.js";
import { pause, shown } from "./waiting.js";

const TOPICS = [
  "camera_status_update",
  "camera.controls",
  "snapshot.taken",
  "recording_status_update",
  "recording.start",
  "recording.stop",
  "recording.error",
  "system.startup",
  "system.shutdown",
  "system.health",
  "plugin.quarantined",
];
const MOST_EVENTS = 200;
const RETRY_MS = 2000;
/** Pause between two measurements of the agent's clock, and how many answers each takes: the quickest counts. */
const CLOCK_MS = 60_000;
const CLOCK_ANSWERS = 4;
const ROLES = ["viewer", "operator", "admin"];
/** Browsers do not tell pages why a WebSocket fails. */
const UNREACHED =
  "The agent serves this page, but not its WebSocket. Either server.allowed_origins lacks " +
  `${location.origin}, which the agent needs for any name but its IP address, or a proxy passes no WebSockets on.`;

/** Return the number in a camera's id, by which cameras are ordered: a camera's place never changes. */
function place(device) {
  return Number(device.replace(/^\D+/, ""));
}

/**
 * What the page knows of the agent, kept up to date by its events.
 *
 * Tells "connection" when `connection` has changed, "cameras" when `cameras` has, "event" with each event, "recording"
 * with those of recordings, "snapshot", "controls", and "ready" when a connection was (re)made.
 */
export class Agent extends EventTarget {
  /** "connecting", "connected" or "lost". */
  connection = "connecting";
  connectionWords = "";
  role = "viewer";
  user = "";
  cameras = new Map();
  info = null;
  events = [];
  clock = new AgentClock();
  #session;
  #client = null;
  #end = new AbortController();
  #refreshing = null;
  #subscribed = null;
  #watched = null;
  /** Number of events about cameras so far: a list that was made before the last of them is asked for again. */
  #changes = 0;

  constructor(session) {
    super();
    this.#session = session;
    const { signal } = this.#end;
    addEventListener("online", () => this.#client?.probe(), { signal });
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && this.#client?.probe(), { signal });
  }

  /** Milliseconds to add to this computer's clock to get the agent's. */
  get clockOffsetMs() {
    return this.clock.offsetMs;
  }

  get #left() {
    return this.#end.signal.aborted;
  }

  /** Connect, and try again while there is no agent. Ends the session if the credentials are refused. */
  async open() {
    while (!this.#left) {
      const client = new AgentClient(this.#session.socketUrl, { token: this.#session.token });
      this.#client = client;
      this.#follow(client);
      try {
        await client.connect();
        return;
      } catch (error) {
        if (this.#left) return;
        if (error instanceof CallFailed && error.code !== -32040) return this.#session.end(error.message);
        const words = error instanceof CallFailed || !(await this.#session.isServed()) ? error.message : UNREACHED;
        if (this.#left) return;
        this.#set("lost", words);
        await pause(error.data?.retry_after_ms ?? RETRY_MS, this.#end.signal);
      }
    }
  }

  async close() {
    this.#end.abort();
    await this.#client?.close();
  }

  /** Return true if the user may call methods of this role. */
  may(role) {
    return ROLES.indexOf(this.role) >= ROLES.indexOf(role);
  }

  /** Return true if the plugin is loaded. */
  has(plugin) {
    return (this.info?.plugins ?? []).some((each) => each.name === plugin && each.status === "LOADED");
  }

  /** Call a method. Raises CallFailed and the other errors of the client. */
  async call(method, params = {}, options = {}) {
    try {
      return await this.#client.call(method, params, options);
    } catch (error) {
      if (error instanceof CallFailed && error.code === -32001) this.#session.end(error.message);
      throw error;
    }
  }

  /** Cameras in their order. */
  get ordered() {
    return [...this.cameras.values()].sort((one, other) => place(one.device) - place(other.device));
  }

  /** Receive the events of a plugin's topic; returns a function that ends it. Without the plugin there are none. */
  async follow(topic, listener) {
    const subscription = await this.#client.subscribe(topic, listener);
    return () => subscription.close().catch(() => {});
  }

  /** Ask for everything that events change. */
  refresh() {
    this.#refreshing ??= this.#load().finally(() => (this.#refreshing = null));
    return this.#refreshing;
  }

  async #load() {
    let list = null;
    let changes = -1;
    while (changes !== this.#changes) {
      changes = this.#changes;
      list = await this.#list();
    }
    this.cameras = new Map(list.cameras.map((each) => [each.device, each]));
    this.#tell("cameras");
  }

  async #list() {
    const asked = Date.now();
    const list = await this.call("get_camera_list");
    this.clock.note(asked, Date.now(), Date.parse(list.timestamp));
    return list;
  }

  /** Measure the agent's clock, again and again while the page can be seen and this connection lasts. */
  async #watchClock(client) {
    const { signal } = this.#end;
    this.#watched?.abort();
    this.#watched = new AbortController();
    const either = AbortSignal.any([signal, this.#watched.signal]);
    while (!either.aborted && client.state === "connected") {
      for (let count = 0; count < CLOCK_ANSWERS; count += 1) await this.#list().catch(() => {});
      await pause(CLOCK_MS, either);
      await shown(either);
    }
  }

  #follow(client) {
    client.on("connected", () => this.#greet(client));
    client.on("disconnected", ({ error }) => this.#set("lost", error.message));
    client.on("closed", ({ error }) => {
      if (!this.#left && error instanceof CallFailed && error.code !== -32040) this.#session.end(error.message);
    });
    client.on("system.auth_expired", ({ params }) => this.#session.end(params?.details ?? "The login has expired."));
    client.on("system.events_dropped", () => this.refresh().catch(() => {}));
  }

  /** Ask for what the page shows, until it is known or the connection is lost again. */
  async #greet(client) {
    while (!this.#left && client.state === "connected") {
      try {
        await this.#greeted(client);
        return;
      } catch (error) {
        this.#set("lost", error.message);
        await pause(RETRY_MS, this.#end.signal);
      }
    }
  }

  /** Learn the role and the present state; on the first connection subscribe, before anything is asked. */
  async #greeted(client) {
    const known = await client.authenticate({ auth_token: this.#session.token });
    this.role = known.role;
    this.#subscribed ??= client.subscribe(TOPICS, (event) => this.#receive(event));
    try {
      await this.#subscribed;
    } catch (error) {
      this.#subscribed = null;
      throw error;
    }
    [this.info] = await Promise.all([client.getServerInfo(), this.refresh()]);
    this.#set("connected", "");
    this.#tell("ready");
    this.#watchClock(client);
  }

  #receive({ method, params }) {
    if (method === "camera_status_update") this.#changed(params);
    else if (method.startsWith("recording")) this.#recorded(method, params);
    else if (method === "snapshot.taken") this.#tell("snapshot", params);
    else if (method === "camera.controls") this.#tell("controls", params);
    this.events.unshift({ method, params, at: params.timestamp ?? new Date().toISOString() });
    this.events.length = Math.min(this.events.length, MOST_EVENTS);
    this.#tell("event");
  }

  #changed(camera) {
    this.#changes += 1;
    const { problem, ...before } = this.cameras.get(camera.device) ?? {}; // left out when there is none
    this.cameras.set(camera.device, { ...before, ...camera });
    this.#tell("cameras");
    // A removed camera is in no list any more, and its last event says only that it is disconnected.
    if (camera.status === "DISCONNECTED") this.refresh().catch(() => {});
  }

  #recorded(method, params) {
    const camera = this.cameras.get(params.device);
    if (camera !== undefined && method === "recording_status_update") {
      const isRecording = ["STARTING", "RECORDING", "ERROR"].includes(params.status);
      this.cameras.set(params.device, { ...camera, is_recording: isRecording });
      this.#tell("cameras");
    }
    this.#tell("recording", params);
  }

  #set(connection, text) {
    this.connection = connection;
    this.connectionWords = text;
    this.#tell("connection");
  }

  #tell(name, detail = null) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
