// A transform stage in Node: `serve` makes a gRPC server of a function.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { setDefaultHighWaterMark } from "node:stream";

import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";
import { HealthImplementation } from "grpc-health-check";

const SERVICE = "pipeline.v1.Stage";

// The contract: a copy of it in this folder, or the one of the repository.
const CONTRACT = ["proto", "../../proto"]
  .map((folder) => join(import.meta.dirname, folder))
  .find(existsSync);

// The parent process sends SIGKILL five seconds after SIGTERM.
const GRACE_MS = 4000;

// Clients accept 8 KiB of metadata; a percent-encoded character takes up to 9 bytes.
const MAX_DETAILS = 800;

// The contract allows 16 KiB, and a character takes up to 3 bytes of UTF-8.
const MAX_TRACEBACK = 4000;

// grpc-js streams buffer 16 messages by default, and batches can be tens of MB.
setDefaultHighWaterMark(true, 1);

/**
 * Serves a stage until SIGTERM or SIGINT, then lets open streams finish.
 *
 * - `name`, `workload`: go into the handshake line;
 * - `protos`: the files that define the two messages, in the folder of the contract, or
 *   by absolute path;
 * - `takes`, `returns`: the full names of the two messages;
 * - `function`: takes the one and returns `{ message, records, filtered, rejections }`,
 *   of which the last two are optional; may be async; an exception fails the stream;
 * - `process`: optional; answers the batches of a stream in another way than one by one.
 *
 * Fields keep their names from the proto. A 64-bit integer is a `Long`, since a number
 * is exact only up to 2^53; where one is written, a number or a string will do too.
 */
export async function serve(stage) {
  const definitions = protoLoader.loadSync(
    ["pipeline/v1/pipeline.proto", ...stage.protos],
    { includeDirs: [CONTRACT], keepCase: true, defaults: true },
  );
  const server = new grpc.Server({ "grpc.max_receive_message_length": -1 });
  server.addService(definitions[SERVICE], {
    Process: (call) => answerStream(call, stage, definitions),
  });
  const stopHealth = addHealth(server);

  const stop = () => {
    console.error("draining");
    stopHealth();
    server.tryShutdown(() => {});
    // Unreferenced: the process ends as soon as its last connection has.
    setTimeout(() => process.exit(), GRACE_MS).unref();
  };
  // Once: a second signal ends the process at once, which is Node's default.
  process.once("SIGTERM", stop);
  process.once("SIGINT", stop);

  const port = await bind(server, "127.0.0.1:0");
  const { name, workload } = stage;
  const handshake = { stage: name, workload, address: `127.0.0.1:${port}` };
  process.stdout.write(`${JSON.stringify(handshake)}\n`);
}

function bind(server, address) {
  const credentials = grpc.ServerCredentials.createInsecure();
  return new Promise((resolve, reject) => {
    server.bindAsync(address, credentials, (error, port) =>
      error ? reject(error) : resolve(port),
    );
  });
}

/** Adds the health service and returns a function that reports NOT_SERVING and ends. */
function addHealth(server) {
  const health = new HealthImplementation({ "": "SERVING", [SERVICE]: "SERVING" });
  const watches = new Set();
  health.addToServer({
    // grpc-health-check never ends a Watch call, so a shutdown would wait for it.
    addService: (definition, { watch, ...methods }) =>
      server.addService(definition, {
        ...methods,
        watch: (call) => {
          watches.add(call);
          call.once("close", () => watches.delete(call));
          watch(call);
        },
      }),
  });
  return () => {
    for (const service of ["", SERVICE]) health.setStatus(service, "NOT_SERVING");
    for (const watch of watches) watch.end();
  };
}

/** Answers the batches of a stream. */
async function answerStream(call, stage, definitions) {
  const answerAll = stage.process ?? oneByOne;
  const answer = (batch) => answered(batch, stage, definitions);
  // Destroying the call, which is the default, would lose the status of a failure.
  const batches = call.iterator({ destroyOnReturn: false });
  try {
    for await (const reply of answerAll(batches, answer)) await write(call, reply);
    call.end();
  } catch (error) {
    if (!call.cancelled) call.emit("error", error);
  }
}

async function* oneByOne(batches, answer) {
  for await (const batch of batches) yield await answer(batch);
}

/**
 * Sends a message and waits until it has left this process.
 *
 * So a client that does not read holds one reply in memory, and the stage reads no
 * further requests of that stream.
 */
function write(call, message) {
  return new Promise((resolve, reject) => {
    call.write(message, (error) => (error ? reject(error) : resolve()));
  });
}

/**
 * Returns the reply to a batch.
 *
 * Throws a status: INVALID_ARGUMENT if the payload is not what the stage takes, INTERNAL
 * if the stage function fails.
 */
async function answered(batch, stage, definitions) {
  const { type_url: url = "", value = Buffer.alloc(0) } = batch.payload ?? {};
  // Only the part after the last slash names the type.
  const type = url.slice(url.lastIndexOf("/") + 1);
  if (type !== stage.takes) {
    throw refusal(batch, `takes ${stage.takes}, was sent ${type || "no payload"}`);
  }
  let input;
  try {
    // No Buffer: protobufjs 7 accepts one that ends in the middle of a string.
    const bytes = new Uint8Array(value.buffer, value.byteOffset, value.length);
    input = definitions[stage.takes].deserialize(bytes);
  } catch (error) {
    const details = `was sent bytes that are no ${stage.takes}: ${error.message}`;
    throw refusal(batch, details);
  }
  try {
    const { message, ...counts } = await stage.function(input);
    return {
      ...counts,
      number: batch.number,
      payload: {
        type_url: `type.googleapis.com/${stage.returns}`,
        value: definitions[stage.returns].serialize(message),
      },
    };
  } catch (error) {
    throw failure(batch, error);
  }
}

function refusal(batch, details) {
  return status(grpc.status.INVALID_ARGUMENT, `${place(batch)}: ${details}`);
}

function failure(batch, error) {
  console.error(`${place(batch)} failed:`, error);
  const [details] = String(error).split("\n");
  const metadata = new grpc.Metadata();
  const traceback = String(error?.stack ?? error).slice(0, MAX_TRACEBACK);
  metadata.set("pipeline-traceback-bin", Buffer.from(traceback));
  return status(grpc.status.INTERNAL, `${place(batch)}: ${details}`, metadata);
}

function status(code, text, metadata) {
  // grpc-js percent-encodes the details, which throws for half a surrogate pair.
  const details = text.slice(0, MAX_DETAILS).toWellFormed();
  return Object.assign(new Error(details), { code, details, metadata });
}

function place({ number, first_record: record }) {
  return `batch ${number}${record.isZero() ? "" : `, from record ${record}`}`;
}
