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
