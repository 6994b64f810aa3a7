import { ByteQueue } from "./byte_queue.js";
import { reached } from "./unreached.js";

const LINE_END = new Uint8Array([13, 10, 13, 10]);
/** Longest picture; a longer one is no answer of an agent. */
const LIMIT_BYTES = 64 * 1024 * 1024;
/** Longest headers of a part. */
const LIMIT_HEAD_BYTES = 16_384;

/**
 * Yield the parts of an answer of `live.mjpeg`, whose parts tell their length: `{headers, body}`. The answer is
 * given up when the caller no longer wants parts, and when one is wrong.
 */
export async function* parts(reader) {
  try {
    yield* split(reader);
  } finally {
    reader.cancel().catch(() => {});
  }
}

async function* split(reader) {
  const queue = new ByteQueue();
  let wanted = null;
  for (;;) {
    for (;;) {
      wanted ??= head(queue);
      if (wanted === null || queue.length < wanted.length) break;
      yield { headers: wanted.headers, body: queue.take(wanted.length) };
      wanted = null;
    }
    const { done, value } = await reached(reader.read());
    if (done) return;
    queue.push(value);
  }
}

/** Take the headers of a part; null until they are there. */
function head(queue) {
  const end = find(queue.view, LINE_END);
  if (end > LIMIT_HEAD_BYTES || (end < 0 && queue.length > LIMIT_HEAD_BYTES)) throw new Error("The live view has a part without headers.");
  if (end < 0) return null;
  const headers = headersOf(new TextDecoder("latin1").decode(queue.take(end)));
  queue.drop(LINE_END.length);
  const length = Number(headers.get("content-length") ?? NaN);
  if (!Number.isInteger(length) || length < 0 || length > LIMIT_BYTES) throw new Error("The live view has a part without a length.");
  return { headers, length };
}

function find(bytes, wanted) {
  outer: for (let at = bytes.indexOf(wanted[0]); at >= 0; at = bytes.indexOf(wanted[0], at + 1)) {
    for (let offset = 1; offset < wanted.length; offset += 1) if (bytes[at + offset] !== wanted[offset]) continue outer;
    return at;
  }
  return -1;
}

function headersOf(text) {
  const lines = text.split("\r\n").filter((each) => each.includes(":"));
  return new Map(lines.map((each) => [each.slice(0, each.indexOf(":")).trim().toLowerCase(), each.slice(each.indexOf(":") + 1).trim()]));
}
