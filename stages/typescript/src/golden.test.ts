// Tests against the golden vectors, which the tests of every language share.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import * as events from "./events/stages.js";
import * as exact from "./exact.js";
import { Any } from "./generated/google/protobuf/any.js";
import * as items from "./items.js";
import { LineBatcher } from "./lines.js";
import { pack, unpack } from "./payload.js";
import type { Output, Result, Stage } from "./stage.js";

function read<V>(name: string): V[] {
  const url = new URL(`../../../proto/golden/${name}.json`, import.meta.url);
  return JSON.parse(readFileSync(url, "utf-8")) as V[];
}

function base64(text: string): Buffer {
  return Buffer.from(text, "base64");
}

test("doubles are written as in every language", () => {
  for (const { bits, text } of read<{ bits: string; text: string }>("doubles")) {
    assert.equal(exact.text(Buffer.from(bits, "hex").readDoubleBE()), text, bits);
  }
});

test("integers have the fewest bytes", () => {
  for (const { integer, bytes } of read<{ integer: string; bytes: string }>("integers")) {
    assert.equal(exact.bytes(BigInt(integer)).toString("hex"), bytes, integer);
    assert.equal(exact.integer(Buffer.from(bytes, "hex")), BigInt(integer));
  }
});

test("quotients are rounded once", () => {
  for (const { sum, count, text } of read<{ sum: string; count: number; text: string }>(
    "averages",
  )) {
    assert.equal(exact.text(exact.quotient(BigInt(sum), BigInt(count))), text, `${sum} / ${count}`);
  }
});

interface CutStream {
  stream: string;
  max_line_bytes: number;
  batch_records: number;
  batch_bytes: number;
  max_records: number;
  batches: { first_record: number; records: number; text: string; too_long: number[] }[];
}

test("streams are cut however they arrive", () => {
  for (const vector of read<CutStream>("line_batches")) {
    const stream = base64(vector.stream);
    for (let size = 1; size <= Math.max(1, stream.length); size += 1) {
      const batcher = new LineBatcher({
        batchRecords: vector.batch_records,
        batchBytes: vector.batch_bytes,
        maxLineBytes: vector.max_line_bytes,
        maxRecords: vector.max_records,
        lingerMs: 0,
      });
      const batches = [];
      for (let start = 0; start < stream.length; start += size) {
        batches.push(...batcher.feed(stream.subarray(start, start + size)));
      }
      batches.push(...batcher.finish());
      const found = batches.map(({ records, lines }) => ({
        first_record: Number(lines.firstRecord),
        records,
        text: Buffer.from(lines.text).toString("base64"),
        too_long: lines.tooLong.map(Number),
      }));
      assert.deepEqual(found, vector.batches, `${stream.toString("hex")} in blocks of ${size}`);
    }
  }
});

interface Answered {
  workload: string;
  stage: string;
  request: string;
  reply: string;
  records: number;
  filtered: number;
  rejections: { record: number; reason: string; field: string }[];
}

const STAGES: Record<string, (request: Any) => ReturnType<typeof pack>> = {
  "events parse": answerOf(events.parseStage),
  "events rules": answerOf(events.rulesStage),
  "events aggregate": answerOf(events.aggregateStage),
  "work-items parse": answerOf(items.parseStage),
  "work-items rules": answerOf(items.rulesStage),
  "work-items aggregate": answerOf(items.aggregateStage),
};

function answerOf<In, Out>(stage: Stage<In, Out>): (request: Any) => ReturnType<typeof pack> {
  return (request) => {
    const output: Output<Out> = stage.apply(unpack(request, stage.takes));
    return pack(0n, output, stage.returns);
  };
}

test("stages answer as in every language", () => {
  for (const vector of read<Answered>("stages")) {
    const name = `${vector.workload} ${vector.stage}`;
    const reply = STAGES[name](Any.decode(base64(vector.request)));
    const rejections = reply.rejections.map((one) => ({ ...one, record: Number(one.record) }));
    assert.deepEqual(rejections, vector.rejections, name);
    assert.deepEqual(
      [Number(reply.records), Number(reply.filtered)],
      [vector.records, vector.filtered],
      name,
    );
    const expected = Any.decode(base64(vector.reply));
    assert.equal(reply.payload?.typeUrl, expected.typeUrl);
    assert.ok(Buffer.from(expected.value).equals(reply.payload.value), name);
  }
});

interface Published {
  workload: string;
  payloads: string[];
  records: number;
  result: string;
}

test("results are the same bytes in every language", () => {
  for (const vector of read<Published>("results")) {
    const payloads = vector.payloads.map((payload) => Any.decode(base64(payload)));
    const [records, text] =
      vector.workload === "events" ? fold(events.result, payloads) : fold(items.result, payloads);
    assert.deepEqual([Number(records), text], [vector.records, vector.result]);
  }
});

function fold<M>(result: Result<M>, payloads: Any[]): [bigint, string] {
  const accumulator = result.create();
  const lines = payloads.map((payload) => accumulator.add(unpack(payload, result.takes)));
  const text = lines.join("") + accumulator.finish();
  return [accumulator.records, text];
}

test("final scores have exact totals", () => {
  for (const vector of read<{ final_scores: string[]; totals: string }>("totals")) {
    const scores = vector.final_scores.map((bits) => Buffer.from(bits, "hex").readDoubleBE());
    const encoded = items.result.takes.codec
      .encode({ record: [], id: [], finalScore: [], totals: items.totalsOf(scores) })
      .finish();
    assert.ok(Buffer.from(encoded).includes(base64(vector.totals)));
  }
});
