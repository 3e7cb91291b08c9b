// A transform stage in Node: `serve` makes one of a function.
//
// Each batch goes through `decodeBatch`, `answered` and `encodeBatch`, and `oneByOne`
// says in what order those of a stream do.

import { Code, GrpcServer, StatusError } from "./grpc.mjs";
import { Health } from "./health.mjs";
import { fields, Message, WireError } from "./protobuf.mjs";

const SERVICE = "pipeline.v1.Stage";

// Whoever has started us sends SIGKILL after five seconds.
const GRACE_MS = 4000;

// The contract gives it 16 KiB, and UTF-8 makes up to three bytes of a character.
const MAX_TRACEBACK = 4000;

/**
 * Serves a stage until SIGTERM or SIGINT, then lets open streams finish.
 *
 * - `name`, `workload`: what the handshake line says;
 * - `takes`, `returns`: the full names of two messages;
 * - `decode`: makes of bytes the message that `function` takes; throws WireError where
 *   they are none;
 * - `function`: makes of it `{ message, records, filtered, rejections }`, of which the
 *   last two may be left out; may be async; what it throws fails the stream;
 * - `encode`: makes bytes of that message;
 * - `process`: answers the batches of a stream; `oneByOne` unless given.
 */
export async function serve(stage) {
  const health = new Health(["", SERVICE]);
  const server = new GrpcServer({ ...methods(stage), ...health.methods });
  const stop = () => {
    console.error("draining");
    health.stop();
    server.drain(GRACE_MS);
  };
  // Once: a second signal ends the process, as signals do.
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);
  const address = await server.listen();
  const handshake = { stage: stage.name, workload: stage.workload, address };
  // Nothing to flush: Node writes to a pipe at once.
  process.stdout.write(`${JSON.stringify(handshake)}\n`);
}

/** Returns the methods of a stage for a server. */
export function methods(stage) {
  const answerAll = stage.process ?? oneByOne;
  return {
    async *[`/${SERVICE}/Process`](requests) {
      const answer = (batch) => answered(stage, batch);
      for await (const reply of answerAll(batches(requests), answer)) {
        yield encodeBatch(reply);
      }
    },
  };
}

/** Answers each batch as soon as it is there, in order. */
export async function* oneByOne(requests, answer) {
  for await (const batch of requests) yield await answer(batch);
}

/**
 * Returns the reply to a batch.
 *
 * Throws StatusError: INVALID_ARGUMENT where the payload is not what the stage takes,
 * INTERNAL where the stage function fails.
 */
export async function answered(stage, batch) {
  // Only the part behind the last slash names the type.
  const type = batch.typeUrl.slice(batch.typeUrl.lastIndexOf("/") + 1);
  if (type !== stage.takes) {
    throw refusal(batch, `takes ${stage.takes}, was sent ${type || "no payload"}`);
  }
  try {
    const output = await stage.function(stage.decode(batch.payload));
    return {
      number: batch.number,
      records: output.records,
      filtered: output.filtered ?? 0,
      rejections: output.rejections ?? [],
      typeUrl: `type.googleapis.com/${stage.returns}`,
      payload: stage.encode(output.message),
    };
  } catch (error) {
    if (error instanceof WireError) {
      const details = `was sent bytes that are no ${stage.takes}: ${error.message}`;
      throw refusal(batch, details);
    }
    throw failure(batch, error);
  }
}

function refusal(batch, details) {
  return new StatusError(Code.INVALID_ARGUMENT, `${place(batch)}: ${details}`);
}

function failure(batch, error) {
  console.error(`${place(batch)} failed:`, error);
  const traceback = String(error?.stack ?? error).slice(0, MAX_TRACEBACK);
  const [details] = String(error).split("\n");
  return new StatusError(Code.INTERNAL, `${place(batch)}: ${details}`, {
    "pipeline-traceback-bin": Buffer.from(traceback).toString("base64"),
  });
}

function place({ number, firstRecord }) {
  return `batch ${number}${firstRecord ? `, from record ${firstRecord}` : ""}`;
}

async function* batches(requests) {
  for await (const bytes of requests) yield decodeBatch(bytes);
}

/** Reads what a stage needs of a `pipeline.v1.Batch`. */
export function decodeBatch(bytes) {
  const batch = { number: 0n, firstRecord: 0n, typeUrl: "", payload: Buffer.alloc(0) };
  try {
    for (const { number, varint, bytes: inner } of fields(bytes)) {
      if (number === 1) batch.number = varint ?? batch.number;
      if (number === 6) decodePayload(inner ?? [], batch);
      if (number === 7) batch.firstRecord = varint ?? batch.firstRecord;
    }
  } catch (error) {
    const details = `was sent bytes that are no pipeline.v1.Batch: ${error.message}`;
    throw new StatusError(Code.INVALID_ARGUMENT, details);
  }
  return batch;
}

function decodePayload(bytes, batch) {
  for (const { number, bytes: inner } of fields(bytes)) {
    if (number === 1) batch.typeUrl = inner?.toString() ?? batch.typeUrl;
    if (number === 2) batch.payload = inner ?? batch.payload;
  }
}

/** Writes a reply as a `pipeline.v1.Batch`. */
export function encodeBatch(reply) {
  const batch = new Message()
    .uint(1, reply.number)
    .uint(2, reply.records)
    .uint(3, reply.filtered);
  for (const { record, reason, field = "" } of reply.rejections) {
    const rejection = new Message().uint(1, record).text(2, reason).text(3, field);
    batch.bytes(4, rejection.finish());
  }
  const payload = new Message().text(1, reply.typeUrl).bytes(2, reply.payload);
  return batch.bytes(6, payload.finish()).finish();
}
