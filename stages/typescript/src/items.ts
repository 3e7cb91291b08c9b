// The stages and the result of the workload `work-items`.
//
// The order of every operation is in work_items.proto. JavaScript neither reorders them nor
// fuses a multiplication and an addition.

import * as exact from "./exact.js";
import type { Rejection } from "./generated/pipeline/v1/pipeline.js";
import {
  ParsedItems,
  ScoredItems,
  Scores,
  ScoreTotals,
  WorkItems,
} from "./generated/pipeline/v1/work_items.js";
import {
  type Accumulator,
  checkColumns,
  type MessageType,
  type Output,
  Refusal,
  type Stage,
} from "./stage.js";

const FEATURES = 5;
/** The iterations of the final score. */
const FINAL_ITERATIONS = 50;
/** The largest magnitude of a final score. */
const MAX_SCORE = 2 ** 960;
/** Every double is a multiple of 2^-1074. */
const UNIT_EXPONENT = 1074;

const WORK_ITEMS: MessageType<WorkItems> = { name: "pipeline.v1.WorkItems", codec: WorkItems };
const PARSED: MessageType<ParsedItems> = { name: "pipeline.v1.ParsedItems", codec: ParsedItems };
const SCORED: MessageType<ScoredItems> = { name: "pipeline.v1.ScoredItems", codec: ScoredItems };
const SCORES: MessageType<Scores> = { name: "pipeline.v1.Scores", codec: Scores };

/** Normalises the vectors of every item, transposes its matrix and computes a checksum. */
function parse(items: WorkItems): Output<ParsedItems> {
  const count = items.size.length;
  const values = sum(items.size);
  checkColumns("WorkItems", items, {
    record: count,
    id: count,
    first: values,
    second: values,
    matrix: sum(items.size.map((size) => size * size)),
    text: count,
    iterations: count,
  });
  const parsed = ParsedItems.create();
  let [vector, matrix] = [0, 0];
  const rejections = rejectionsOf(items.record, (position) => {
    const size = items.size[position];
    const first = items.first.slice(vector, vector + size);
    const second = items.second.slice(vector, vector + size);
    const rows = items.matrix.slice(matrix, matrix + size * size);
    vector += size;
    matrix += size * size;
    checkValues({ first, second, matrix: rows });
    const normalised = [...normalise(first, "first"), ...normalise(second, "second")];
    const iterations = items.iterations[position];
    parsed.record.push(items.record[position]);
    parsed.id.push(items.id[position]);
    parsed.size.push(size);
    parsed.iterations.push(iterations);
    parsed.checksum.push(sum(normalised.map((value) => work(value, iterations))));
    parsed.normalised.push(...normalised);
    for (let column = 0; column < size; column += 1) {
      for (let row = 0; row < size; row += 1) parsed.matrix.push(rows[row * size + column]);
    }
  });
  return { message: parsed, records: parsed.id.length, rejections };
}

function checkValues(columns: { first: number[]; second: number[]; matrix: number[] }): void {
  if (columns.first.length === 0) throw new Refusal("empty_vector");
  for (const [name, values] of Object.entries(columns)) {
    if (!values.every(Number.isFinite)) throw new Refusal("not_finite", name);
  }
}

/** Returns a vector divided by its norm, or as it is if the norm is 0. */
function normalise(vector: number[], name: string): number[] {
  const norm = Math.sqrt(sum(vector.map((value) => value * value)));
  if (!Number.isFinite(norm)) throw new Refusal("out_of_range", name);
  return norm === 0 ? vector : vector.map((value) => value / norm);
}

/** Computes the features and the score of every item; rejects those that are too large. */
function rules(items: ParsedItems): Output<ScoredItems> {
  const count = items.size.length;
  if (items.size.includes(0)) throw new Error("ParsedItems.size has a 0, which parse refuses");
  checkColumns("ParsedItems", items, {
    record: count,
    id: count,
    iterations: count,
    normalised: 2 * sum(items.size),
    matrix: sum(items.size.map((size) => size * size)),
    checksum: count,
  });
  const scored = ScoredItems.create();
  let [vector, matrix] = [0, 0];
  const rejections = rejectionsOf(items.record, (position) => {
    const size = items.size[position];
    const values = items.normalised.slice(vector, vector + 2 * size);
    const matrixTotal = sum(items.matrix.slice(matrix, matrix + size * size));
    vector += 2 * size;
    matrix += size * size;
    const mean = sum(values) / values.length;
    const squares = sum(values.map((value) => (value - mean) * (value - mean)));
    const score = work(items.checksum[position] + matrixTotal + mean, items.iterations[position]);
    for (const [name, value] of [
      ["matrix_total", matrixTotal],
      ["score", score],
    ] as const) {
      if (!Number.isFinite(value)) throw new Refusal("out_of_range", name);
    }
    scored.record.push(items.record[position]);
    scored.id.push(items.id[position]);
    scored.mean.push(mean);
    scored.deviation.push(Math.sqrt(squares / values.length));
    for (let feature = 0; feature < FEATURES; feature += 1) {
      scored.features.push(values[feature] ?? 0);
    }
    scored.matrixTotal.push(matrixTotal);
    scored.score.push(score);
  });
  return { message: scored, records: scored.id.length, rejections };
}

/** Finishes the scores and totals them; rejects those that are too large. */
function aggregate(items: ScoredItems): Output<Scores> {
  const count = items.id.length;
  checkColumns("ScoredItems", items, {
    record: count,
    mean: count,
    deviation: count,
    features: FEATURES * count,
    matrixTotal: count,
    score: count,
  });
  const scores = Scores.create();
  const rejections = rejectionsOf(items.record, (position) => {
    const at = FEATURES * position;
    const features = items.features.slice(at, at + FEATURES);
    const score = finalScore(items.score[position], features);
    // NaN is not in the range either.
    if (!(Math.abs(score) <= MAX_SCORE)) throw new Refusal("out_of_range", "final_score");
    scores.record.push(items.record[position]);
    scores.id.push(items.id[position]);
    scores.finalScore.push(score);
  });
  scores.totals = totalsOf(scores.finalScore);
  return { message: scores, records: scores.id.length, rejections };
}

function finalScore(score: number, features: number[]): number {
  const products = features.slice(1).map((next, position) => Math.abs(features[position] * next));
  return work(score + sum(features), FINAL_ITERATIONS) + 0.1 * sum(products);
}

/** Returns the sum of value · (i · 0.001) for i from 1 to `iterations`. */
function work(value: number, iterations: number): number {
  let total = 0;
  for (let i = 1; i <= iterations; i += 1) total += value * (i * 0.001);
  return total;
}

/** Adds from left to right, starting at +0. */
function sum(values: number[]): number {
  let total = 0;
  for (const value of values) total += value;
  return total;
}

/** Calls a function for each item, and returns the rejections that it throws. */
function rejectionsOf(records: bigint[], read: (position: number) => void): Rejection[] {
  const rejections: Rejection[] = [];
  records.forEach((record, position) => {
    try {
      read(position);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      rejections.push(error.rejection(record));
    }
  });
  return rejections;
}

/** Returns the totals of final scores, which are finite. */
export function totalsOf(scores: number[]): ScoreTotals {
  if (scores.length === 0) return ScoreTotals.create();
  let [minimum, maximum, units] = [Infinity, -Infinity, 0n];
  for (const score of scores) {
    units += unitsOf(score);
    minimum = Math.min(minimum, score);
    maximum = Math.max(maximum, score);
  }
  return state(BigInt(scores.length), units, minimum, maximum);
}

/** Returns a finite double in units of 2^-1074. */
function unitsOf(value: number): bigint {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, Math.abs(value));
  const bits = view.getBigUint64(0);
  const exponent = bits >> 52n;
  const fraction = BigInt.asUintN(52, bits);
  const units = exponent === 0n ? fraction : (fraction | (1n << 52n)) << (exponent - 1n);
  return value < 0 ? -units : units;
}

/** Returns totals whose sum is a fraction in lowest terms. */
function state(count: bigint, units: bigint, minimum: number, maximum: number): ScoreTotals {
  // The lowest bit that is set, and so how many zeros follow it.
  const zeros = units === 0n ? UNIT_EXPONENT : (units & -units).toString(2).length - 1;
  const scale = Math.max(0, UNIT_EXPONENT - zeros);
  const numerator = units >> BigInt(UNIT_EXPONENT - scale);
  return { count, numerator: exact.bytes(numerator), scale, minimum, maximum };
}

function merge(one: ScoreTotals, other: ScoreTotals): ScoreTotals {
  if (one.count === 0n) return other;
  if (other.count === 0n) return one;
  return state(
    one.count + other.count,
    exactUnits(one) + exactUnits(other),
    Math.min(one.minimum, other.minimum),
    Math.max(one.maximum, other.maximum),
  );
}

function exactUnits(totals: ScoreTotals): bigint {
  return exact.integer(totals.numerator) << BigInt(UNIT_EXPONENT - totals.scale);
}

/** The result of `work-items`: one line an item, then one of the totals. */
class ItemScores implements Accumulator<Scores> {
  #totals = ScoreTotals.create();

  get records(): bigint {
    return this.#totals.count;
  }

  add(scores: Scores): string {
    const totals = scores.totals ?? ScoreTotals.create();
    const count = Number(totals.count);
    checkColumns("Scores", scores, { record: count, id: count, finalScore: count });
    if (totals.scale > UNIT_EXPONENT) {
      throw new Error(`ScoreTotals.scale is ${totals.scale}, over ${UNIT_EXPONENT}`);
    }
    if (![...scores.finalScore, totals.minimum, totals.maximum].every(Number.isFinite)) {
      throw new Error("Scores has a value that is not finite");
    }
    this.#totals = merge(this.#totals, totals);
    return scores.id
      .map((id, position) => `{"id":${id},"score":${exact.text(scores.finalScore[position])}}\n`)
      .join("");
  }

  finish(): string {
    const { count, minimum, maximum } = this.#totals;
    if (count === 0n) return "";
    const total = exact.quotient(exactUnits(this.#totals), 1n << BigInt(UNIT_EXPONENT));
    const [low, high] = [exact.text(minimum), exact.text(maximum)];
    return `{"count":${count},"total":${exact.text(total)},"min":${low},"max":${high}}\n`;
  }
}

export const parseStage: Stage<WorkItems, ParsedItems> = {
  takes: WORK_ITEMS,
  returns: PARSED,
  apply: parse,
};
export const rulesStage: Stage<ParsedItems, ScoredItems> = {
  takes: PARSED,
  returns: SCORED,
  apply: rules,
};
export const aggregateStage: Stage<ScoredItems, Scores> = {
  takes: SCORED,
  returns: SCORES,
  apply: aggregate,
};
export const result = { takes: SCORES, create: () => new ItemScores() };
