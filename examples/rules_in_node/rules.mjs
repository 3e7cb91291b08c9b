// The rules of the events workload: Events in, Amounts out.
//
// Both messages are columns: the values at one position of all columns make one record.

import { realpathSync } from "node:fs";

import {
  append,
  asEnum,
  asSint64,
  fromEnum,
  fromSint64,
  Message,
  fields,
} from "./protobuf.mjs";
import { serve } from "./stage.mjs";

const VIEW = 2;
const MIN_VALUE = 10n;

/** Reads the two columns of `pipeline.v1.Events` that the rules look at. */
function decode(bytes) {
  const events = { type: [], value: [] };
  for (const field of fields(bytes)) {
    if (field.number === 2) append(events.type, field, asEnum);
    if (field.number === 4) append(events.value, field, asSint64);
  }
  return events;
}

/** Keeps the events with a value of at least 10 that are no views. */
function rules({ type, value }) {
  if (type.length !== value.length) {
    throw new RangeError(`${type.length} types, but ${value.length} values`);
  }
  const kept = (_, index) => value[index] >= MIN_VALUE && type[index] !== VIEW;
  const message = { type: type.filter(kept), value: value.filter(kept) };
  const records = message.type.length;
  return { message, records, filtered: type.length - records };
}

/** Writes `pipeline.v1.Amounts`. */
function encode({ type, value }) {
  return new Message().packed(1, type, fromEnum).packed(2, value, fromSint64).finish();
}

export const stage = {
  name: "rules",
  workload: "events",
  takes: "pipeline.v1.Events",
  returns: "pipeline.v1.Amounts",
  decode,
  function: rules,
  encode,
};

// Where this is the program, and not a module of another one.
if (import.meta.filename === realpathSync(process.argv[1])) await serve(stage);
