const LINE_END = new Uint8Array([13, 10, 13, 10]);
/** Longest picture; a longer one is no answer of an agent. */
const LIMIT_BYTES = 64 * 1024 * 1024;

/**
 * Yield the parts of a `multipart/x-mixed-replace` answer whose parts tell their length: `{headers, body}`. The answer is
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
  let kept = new Uint8Array(0);
  let wanted = null;
  for (;;) {
    for (;;) {
      if (wanted === null) {
        const end = find(kept, LINE_END);
        if (end < 0) break;
        const headers = headersOf(new TextDecoder("latin1").decode(kept.subarray(0, end)));
        const length = Number(headers.get("content-length"));
        if (!Number.isInteger(length) || length > LIMIT_BYTES) throw new Error("The live view has a part without a length.");
        wanted = { headers, length };
        kept = kept.subarray(end + 4);
      }
      if (kept.length < wanted.length) break;
      yield { headers: wanted.headers, body: kept.slice(0, wanted.length) };
      kept = kept.subarray(wanted.length);
      wanted = null;
    }
    const { done, value } = await reader.read();
    if (done) return;
    const joined = new Uint8Array(kept.length + value.length);
    joined.set(kept);
    joined.set(value, kept.length);
    kept = joined;
  }
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
