import { EventType, Events } from "../generated/pipeline/v1/events.js";
import type { Lines } from "../generated/pipeline/v1/lines.js";
import type { Rejection } from "../generated/pipeline/v1/pipeline.js";
import { type Output, Refusal } from "../stage.js";
import { isTimestamp } from "./timestamp.js";

/** The largest magnitude of a value. */
const MAX_VALUE = 2 ** 53;
/** How deep the JSON of a line may nest, the object of the line included. */
const MAX_DEPTH = 500;
const LF = 10;

const TYPES = new Map([
  ["click", EventType.EVENT_TYPE_CLICK],
  ["view", EventType.EVENT_TYPE_VIEW],
  ["purchase", EventType.EVENT_TYPE_PURCHASE],
]);

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

interface Event {
  ts: string;
  type: EventType;
  user: string;
  value: bigint;
}

/** Reads every line as an event, or rejects it. */
export function parse(lines: Lines): Output<Events> {
  const events = Events.create();
  const rejections: Rejection[] = [];
  const tooLong = new Set(lines.tooLong.map(Number));
  let position = 0;
  for (const line of linesOf(lines.text)) {
    try {
      if (tooLong.has(position)) throw new Refusal("line_too_long");
      if (line === undefined) throw new Refusal("not_utf8");
      const event = readEvent(line);
      events.ts.push(event.ts);
      events.type.push(event.type);
      events.user.push(event.user);
      events.value.push(event.value);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      rejections.push(error.rejection(lines.firstRecord + BigInt(position)));
    }
    position += 1;
  }
  return { message: events, records: events.ts.length, rejections };
}

/** Yields each line as text; undefined for one that is not UTF-8. */
function* linesOf(text: Uint8Array): Generator<string | undefined> {
  const whole = decoded(text);
  if (whole !== undefined) {
    const lines = whole.split("\n");
    lines.pop(); // every line ends with LF
    yield* lines;
    return;
  }
  for (let start = 0, end; (end = text.indexOf(LF, start)) >= 0; start = end + 1) {
    yield decoded(text.subarray(start, end));
  }
}

function decoded(bytes: Uint8Array): string | undefined {
  try {
    return utf8.decode(bytes);
  } catch {
    return undefined;
  }
}

function readEvent(line: string): Event {
  const fields = readObject(line);
  const ts = textOf(fields, "ts");
  const type = textOf(fields, "type");
  const user = textOf(fields, "user");
  const value = present(fields, "value");
  if (typeof value !== "number") throw new Refusal("wrong_type", "value");
  if (!isTimestamp(ts)) throw new Refusal("bad_timestamp", "ts");
  const known = TYPES.get(type);
  if (known === undefined) throw new Refusal("unknown_type", "type");
  if (!isInRange(value, line)) throw new Refusal("out_of_range", "value");
  return { ts, type: known, user, value: BigInt(Math.trunc(value)) };
}

function readObject(line: string): object {
  if (/^[ \t\r]*$/.test(line)) throw new Refusal("blank_line");
  if (nestsTooDeep(line)) throw new Refusal("malformed_json");
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new Refusal("malformed_json");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Refusal("not_an_object");
  }
  return value;
}

function present(fields: object, name: string): unknown {
  if (!Object.hasOwn(fields, name)) throw new Refusal("missing_field", name);
  return (fields as Record<string, unknown>)[name];
}

function textOf(fields: object, name: string): string {
  const value = present(fields, name);
  // JSON can escape a lone surrogate, which no UTF-8 has.
  if (typeof value !== "string" || !value.isWellFormed()) throw new Refusal("wrong_type", name);
  return value;
}

/** Returns whether JSON nests deeper than it may; text that is no JSON may do so too. */
function nestsTooDeep(line: string): boolean {
  // Each level takes two characters.
  if (line.length <= 2 * MAX_DEPTH) return false;
  let [depth, isInText] = [0, false];
  for (let at = 0; at < line.length; at += 1) {
    const char = line[at];
    if (char === '"') isInText = !isInText;
    else if (isInText) at += char === "\\" ? 1 : 0;
    else if (char === "[" || char === "{") depth += 1;
    else if (char === "]" || char === "}") depth -= 1;
    if (depth > MAX_DEPTH) return true;
  }
  return false;
}

/** Returns whether a value of a line is in range. An integer counts as it is written. */
function isInRange(value: number, line: string): boolean {
  if (Math.abs(value) !== MAX_VALUE) return Math.abs(value) < MAX_VALUE;
  // JSON.parse rounds 2^53 + 1 to 2^53.
  const written = lastValue(line);
  return /[.eE]/.test(written) || BigInt(written) === BigInt(value);
}

/** Returns the last value of the key `value` of an object, as it is written. */
function lastValue(line: string): string {
  let depth = 0;
  let key = "";
  let before = "";
  let found = "";
  for (const [token] of line.matchAll(/"(?:[^"\\]|\\.)*"|[[{}\]:,]|[^\s"[{}\]:,]+/gs)) {
    if (token === "[" || token === "{") depth += 1;
    if (token === "]" || token === "}") depth -= 1;
    if (depth === 1 && token === ":") key = before;
    if (depth === 1 && before === ":" && JSON.parse(key) === "value") found = token;
    before = token;
  }
  return found;
}
