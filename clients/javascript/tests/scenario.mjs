// Steps of tests/client/test_javascript.py: reads the address and the token, then one step per line, each answered by one.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [clientPath, modulesPath] = process.argv.slice(2);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const [url, token] = JSON.parse((await lines.next()).value);
const { WebSocket } = createRequire(modulesPath)("ws");
const module = await import(pathToFileURL(clientPath));
const { AgentClient } = module;

const OPTIONS = { WebSocket, firstPauseMs: 20, longestPauseMs: 200, keepaliveMs: 0 };
const client = new AgentClient(url, { ...OPTIONS, token });
const seen = { events: [], connection: [] };
for (const name of ["connected", "disconnected", "closed"]) client.on(name, () => seen.connection.push(name));
client.on("refused", ({ topic }) => seen.connection.push(`refused ${topic}`));
client.on("system.events_dropped", ({ params }) => seen.events.push({ method: "system.events_dropped", params }));
let subscription = null;
let waiting = null;

/** Return what an attempt ended with: its class is what programs decide by. */
async function outcome(attempt) {
  try {
    return { result: await attempt };
  } catch (error) {
    const kinds = Object.keys(module).filter((name) => typeof module[name] === "function" && error instanceof module[name]);
    return { kinds, code: error.code, reason: error.reason, message: error.message };
  }
}

const STEPS = {
  connect: () => outcome(client.connect().then(() => client.state)),
  call: ([method, params, options]) => outcome(client[method](params, options)),
  begin: ([method, params, options]) => {
    waiting = outcome(client[method](params, options));
    return "begun";
  },
  finish: () => waiting,
  abort: async ([method, params]) => {
    const controller = new AbortController();
    const call = client[method](params, { signal: controller.signal });
    controller.abort(new Error("enough"));
    return outcome(call);
  },
  /** Lose a connection that would be opened again after an hour, and look at once. */
  probe: async () => {
    const sockets = [];
    class Kept extends WebSocket {
      constructor(address) {
        super(address);
        sockets.push(this);
      }
    }
    const hour = 3_600_000;
    const other = new AgentClient(url, { ...OPTIONS, WebSocket: Kept, token, firstPauseMs: hour, longestPauseMs: hour });
    const told = (name) => new Promise((resolve) => other.on(name, resolve));
    await other.connect();
    const lost = told("disconnected");
    sockets[0].terminate();
    await lost;
    const states = [other.state];
    const found = told("connected");
    other.probe();
    await found;
    states.push(other.state);
    await other.close();
    return states;
  },
  subscribe: ([topics, options]) =>
    outcome(
      client.subscribe(topics, (event) => seen.events.push(event), options).then((made) => {
        subscription = made;
        return "subscribed";
      }),
    ),
  beginSubscribe: ([topics]) => {
    waiting = outcome(client.subscribe(topics, (event) => seen.events.push(event)).then(() => "subscribed"));
    return "begun";
  },
  subscribeAsync: ([topics]) =>
    outcome(
      client.subscribe(topics, async (event) => {
        seen.events.push(event);
        throw new Error("a mistake in the listener");
      }).then(() => "subscribed"),
    ),
  closeWhileConnecting: async ([where]) => {
    const other = new AgentClient(where, OPTIONS);
    const ended = outcome(other.connect());
    const called = outcome(other.ping());
    await other.close();
    return [await ended, await called, other.state];
  },
  setToken: ([secret]) => outcome(client.setToken(secret).then(() => "set")),
  endless: () => outcome(client.ping({}, { timeoutMs: Infinity })),
  unsubscribe: () => outcome(subscription.close().then(() => "closed")),
  seen: () => ({ ...seen, state: client.state }),
  url: ([path]) => client.fileUrl(path),
  other: async ([where, secret]) => {
    const other = new AgentClient(where, { ...OPTIONS, token: secret });
    const ended = await outcome(other.connect().then(() => other.state));
    const state = other.state;
    await other.close();
    return { ...ended, state };
  },
  close: () => outcome(client.close().then(() => client.state)),
};

for await (const line of lines) {
  const [step, ...rest] = JSON.parse(line);
  process.stdout.write(`${JSON.stringify((await STEPS[step](rest)) ?? null)}\n`);
}
process.exit(0);
