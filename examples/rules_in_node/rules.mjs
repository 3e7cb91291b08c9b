// The rules of the events workload: Events in, Amounts out.
//
// Both messages are columns: the values at one position of all columns make one record.

import { realpathSync } from "node:fs";

import { serve } from "./stage.mjs";

const VIEW = 2;
const MIN_VALUE = 10;

/** Keeps the events with a value of at least 10 that are no views. */
function rules({ type, value }) {
  if (type.length !== value.length) {
    throw new RangeError(`${type.length} types, but ${value.length} values`);
  }
  const kept = (_, index) => value[index].gte(MIN_VALUE) && type[index] !== VIEW;
  const message = { type: type.filter(kept), value: value.filter(kept) };
  const records = message.type.length;
  return { message, records, filtered: type.length - records };
}

export const stage = {
  name: "rules",
  workload: "events",
  protos: ["pipeline/v1/events.proto"],
  takes: "pipeline.v1.Events",
  returns: "pipeline.v1.Amounts",
  function: rules,
};

// Serve only if this file is the program, not a module of another one.
if (import.meta.filename === realpathSync(process.argv[1])) await serve(stage);
