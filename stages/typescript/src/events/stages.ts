// The stages and the result of the workload `events`.

import * as exact from "../exact.js";
import { Amounts, EventType, Events, Totals } from "../generated/pipeline/v1/events.js";
import { Lines } from "../generated/pipeline/v1/lines.js";
import {
  type Accumulator,
  checkColumns,
  type MessageType,
  type Output,
  type Stage,
} from "../stage.js";
import { parse } from "./parse.js";

/** The least value that the rules keep. */
const MIN_VALUE = 10n;

const LINES: MessageType<Lines> = { name: "pipeline.v1.Lines", codec: Lines };
const EVENTS: MessageType<Events> = { name: "pipeline.v1.Events", codec: Events };
const AMOUNTS: MessageType<Amounts> = { name: "pipeline.v1.Amounts", codec: Amounts };
const TOTALS: MessageType<Totals> = { name: "pipeline.v1.Totals", codec: Totals };

/** Keeps events of a value that counts, which are no views. */
function rules(events: Events): Output<Amounts> {
  const count = events.type.length;
  checkColumns("Events", events, { value: count });
  const kept = Amounts.create();
  events.type.forEach((type, position) => {
    const value = events.value[position];
    if (value >= MIN_VALUE && type !== EventType.EVENT_TYPE_VIEW) {
      kept.type.push(type);
      kept.value.push(value);
    }
  });
  const passed = kept.type.length;
  return { message: kept, records: passed, filtered: count - passed };
}

/** Counts and sums the values of each type. */
function aggregate(amounts: Amounts): Output<Totals> {
  const count = amounts.type.length;
  checkColumns("Amounts", amounts, { value: count });
  const sums = new Map<EventType, { count: bigint; sum: bigint }>();
  amounts.type.forEach((type, position) => {
    addTo(sums, type, 1n, amounts.value[position]);
  });
  const totals = [...sums]
    .sort(([one], [other]) => one - other)
    .map(([type, { count, sum }]) => ({ type, count, sum: exact.bytes(sum) }));
  return { message: { totals }, records: count };
}

function addTo<K>(
  sums: Map<K, { count: bigint; sum: bigint }>,
  key: K,
  count: bigint,
  sum: bigint,
): void {
  const of = sums.get(key);
  if (of === undefined) {
    sums.set(key, { count, sum });
  } else {
    of.count += count;
    of.sum += sum;
  }
}

/** The result of `events`: one line a type. */
class TotalsByType implements Accumulator<Totals> {
  readonly #sums = new Map<string, { count: bigint; sum: bigint }>();

  get records(): bigint {
    return [...this.#sums.values()].reduce((records, { count }) => records + count, 0n);
  }

  add({ totals }: Totals): string {
    for (const { type, count, sum } of totals) {
      const name = EventType[type] as string | undefined;
      if (name === undefined) throw new Error(`Totals has an unknown type, ${type}`);
      const key = name.replace("EVENT_TYPE_", "").toLowerCase();
      addTo(this.#sums, key, count, exact.integer(sum));
    }
    return "";
  }

  finish(): string {
    return [...this.#sums]
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([key, { count, sum }]) => {
        const average = exact.text(exact.quotient(sum, count));
        return `{"key":"${key}","count":${count},"sum":${sum},"avg":${average}}\n`;
      })
      .join("");
  }
}

export const parseStage: Stage<Lines, Events> = { takes: LINES, returns: EVENTS, apply: parse };
export const rulesStage: Stage<Events, Amounts> = { takes: EVENTS, returns: AMOUNTS, apply: rules };
export const aggregateStage: Stage<Amounts, Totals> = {
  takes: AMOUNTS,
  returns: TOTALS,
  apply: aggregate,
};
export const result = { takes: TOTALS, create: () => new TotalsByType() };
