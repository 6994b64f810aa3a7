"""Counts of what the page asks for and holds."""

__all__ = ("CALLS", "WATCH")

#: Counts what the page asks for and holds: pictures by camera, those given up, object URLs, and calls of methods.
WATCH = """(() => {
  if (window.watched) return true;
  const watched = { pictures: {}, givenUp: 0, hanging: "", urls: new Set(), most: 0, made: 0, calls: [], isSlow: false };
  window.watched = watched;
  const [ask, make, free, limit] = [window.fetch, URL.createObjectURL, URL.revokeObjectURL, AbortSignal.timeout];
  window.fetch = (url, options = {}) => {
    const device = /cameras\\/(camera\\d+)\\/snapshot/.exec(url)?.[1];
    if (device === undefined) return ask(url, options);
    watched.pictures[device] = (watched.pictures[device] ?? 0) + 1;
    if (device !== watched.hanging) return ask(url, options);
    return new Promise((_, refuse) => {
      options.signal.addEventListener("abort", () => { watched.givenUp += 1; refuse(options.signal.reason); });
    });
  };
  // However slow the machine is, the page's own limit does not end a request that hangs.
  AbortSignal.timeout = (ms) => (watched.hanging ? new AbortController().signal : limit.call(AbortSignal, ms));
  URL.createObjectURL = (blob) => {
    const url = make.call(URL, blob);
    watched.urls.add(url);
    watched.made += 1;
    watched.most = Math.max(watched.most, watched.urls.size);
    return url;
  };
  URL.revokeObjectURL = (url) => { watched.urls.delete(url); free.call(URL, url); };
  const decode = Image.prototype.decode;
  Image.prototype.decode = async function () {
    await decode.call(this);
    if (watched.isSlow) await new Promise((resolve) => setTimeout(resolve, 300));
  };
  const send = WebSocket.prototype.send;
  WebSocket.prototype.send = function (text) {
    watched.calls.push(JSON.parse(text).method);
    return send.call(this, text);
  };
  return true;
})()"""
#: Number of calls; the connection itself is kept alive by pings.
CALLS = "watched.calls.filter((each) => each !== 'ping').length"
