import { reached } from "./unreached.js";

/** Address of the agent, with a slash at the end: the page is there, or in its folder of plugins; behind a proxy anywhere. */
export const BASE = new URL(import.meta.url.replace(/(?:plugins\/web_console\/)?session\.js(?:\?.*)?$/, ""));

/** Pages of several agents may share an origin behind a proxy, and with it the storage. */
const STORED = `camera-agent:${BASE.pathname}`;

/** Longest wait for the agent to revoke a token. */
const LEAVE_MS = 10_000;

/** Error that an answer over HTTP tells: `reason`, `suggestion` and the status. */
export class HttpFailed extends Error {
  constructor(status, body) {
    super(body?.details ?? `The agent answered with ${status}.`);
    this.name = "HttpFailed";
    this.status = status;
    this.reason = body?.reason ?? "";
    this.suggestion = body?.suggestion ?? "";
    this.retryAfterMs = 0;
  }
}

/** Before a stored token that the agent has made for this tab alone; others may be used elsewhere too. */
const OWN = "own:";

/** Credentials of this tab: a token or an API key, kept until the tab is closed. Tells "ended" when they no longer work. */
export class Session extends EventTarget {
  get token() {
    return sessionStorage.getItem(STORED)?.replace(OWN, "") ?? null;
  }

  set token(value) {
    if (value === null) sessionStorage.removeItem(STORED);
    else sessionStorage.setItem(STORED, value);
  }

  /** Forget the credentials; `words` tell why. */
  end(words) {
    this.token = null;
    this.dispatchEvent(new CustomEvent("ended", { detail: words }));
  }

  /** Forget the credentials at once, and have the agent revoke a token that is of this tab alone. */
  async leave() {
    const stored = this.#stored;
    this.end("");
    await this.#revoke(stored, "This tab is logged out");
  }

  get #stored() {
    return sessionStorage.getItem(STORED) ?? "";
  }

  /** Have the agent revoke a stored token that is of this tab alone; tells "unrevoked" if it could not. */
  async #revoke(stored, what) {
    if (!stored.startsWith(OWN)) return;
    try {
      const headers = { Authorization: `Bearer ${stored.slice(OWN.length)}` };
      const answer = await fetch(this.url("login"), { method: "DELETE", headers, signal: AbortSignal.timeout(LEAVE_MS) });
      if (!answer.ok && answer.status !== 401) throw await failure(answer);
    } catch (error) {
      const words = `${what}, but the agent could not revoke its token, which is valid until its end: ${error.message}`;
      this.dispatchEvent(new CustomEvent("unrevoked", { detail: words }));
    }
  }

  /** Return the address of a path of the agent, such as `files/...` or a `download_url`. */
  url(path) {
    return new URL(path.replace(/^\//, ""), BASE).href;
  }

  /** Address of the agent's WebSocket. */
  get socketUrl() {
    return this.url("ws").replace(/^http/, "ws");
  }

  /** The credentials as headers of a request; none without credentials. */
  get credentials() {
    const { token } = this;
    if (token === null) return {};
    return token.startsWith("ck_") ? { "X-API-Key": token } : { Authorization: `Bearer ${token}` };
  }

  /**
   * Fetch with the credentials. Rejects with Unreached without an answer, and with HttpFailed for a refusal; ends the
   * session if that is the credentials'.
   */
  async fetch(path, options = {}) {
    const { token } = this;
    const answer = await reached(fetch(this.url(path), { ...options, headers: { ...this.credentials, ...options.headers }, cache: "no-store" }));
    if (answer.ok) return answer;
    const failed = await failure(answer);
    if (answer.status === 401 && token !== null && token === this.token) this.end(failed.message);
    throw failed;
  }

  /** Return true if the files of this page can be fetched now. */
  async isServed() {
    try {
      return (await fetch(import.meta.url, { method: "HEAD", cache: "no-store" })).ok;
    } catch {
      return false;
    }
  }

  /** Log in with the code of a login link, in place of the present credentials. */
  async redeem(code) {
    const answer = await fetch(this.url("login"), {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ code }),
    });
    if (!answer.ok) throw await failure(answer);
    const before = this.#stored;
    this.token = `${OWN}${(await answer.json()).token}`;
    this.#revoke(before, "This tab has another login now");
  }
}

async function failure(answer) {
  let body = null;
  try {
    body = await answer.json();
  } catch {
    // Not the agent, such as a proxy without it.
  }
  const failed = new HttpFailed(answer.status, body);
  failed.retryAfterMs = 1000 * Number(answer.headers.get("retry-after") ?? 0);
  return failed;
}

/** Return the code of a login link, and remove it from the address and the tab's history; null without one. */
export function takeLoginCode() {
  const found = /^#login=(.+)$/.exec(location.hash);
  if (found === null) return null;
  history.replaceState(null, "", `${location.pathname}${location.search}#/`);
  return found[1];
}
