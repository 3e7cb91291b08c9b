// Serves one stage of a workload until it is stopped.

import {
  Server,
  ServerCredentials,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { ReflectionService } from "@grpc/reflection";
import { HealthImplementation, protoPath as healthProto } from "grpc-health-check";
import { lstatSync, rmSync, unlinkSync } from "node:fs";
import { connect, Socket } from "node:net";
import { setDefaultHighWaterMark } from "node:stream";
import { fileURLToPath } from "node:url";

import * as events from "./events/stages.js";
import { Folders } from "./folders.js";
import { IngestService, SinkService, StageService } from "./generated/pipeline/v1/pipeline.js";
import { source } from "./ingest.js";
import * as items from "./items.js";
import { type Options, readOptions } from "./options.js";
import { said } from "./payload.js";
import { sink } from "./sink.js";
import { transform } from "./transform.js";

/** How long open streams may go on once the server is asked to stop. */
const DRAIN_MS = 30_000;
const HEALTH = "grpc.health.v1.Health";
const PROTOS = fileURLToPath(new URL("proto", import.meta.url));

// grpc-js streams buffer 16 messages by default, and batches can be tens of MB.
setDefaultHighWaterMark(true, 1);

interface Service {
  name: string;
  definition: ServiceDefinition;
  implementation: UntypedServiceImplementation;
}

const TRANSFORMS = {
  events: {
    parse: () => transform(events.parseStage),
    rules: () => transform(events.rulesStage),
    aggregate: () => transform(events.aggregateStage),
  },
  "work-items": {
    parse: () => transform(items.parseStage),
    rules: () => transform(items.rulesStage),
    aggregate: () => transform(items.aggregateStage),
  },
};

function serviceOf({ stage, workload, folders, stdin }: Options): Service {
  const served = new Folders(folders, stdin);
  if (stage === "ingest") return service("Ingest", IngestService, source(served));
  if (stage === "sink") {
    const implementation =
      workload === "events" ? sink(events.result, served) : sink(items.result, served);
    return service("Sink", SinkService, implementation);
  }
  return service("Stage", StageService, TRANSFORMS[workload][stage]());
}

function service(
  name: string,
  definition: ServiceDefinition,
  implementation: UntypedServiceImplementation,
): Service {
  return { name: `pipeline.v1.${name}`, definition, implementation };
}

/** Adds the health service, and returns a function that reports NOT_SERVING and ends it. */
function addHealth(server: Server, name: string): () => void {
  const health = new HealthImplementation({ "": "SERVING", [name]: "SERVING" });
  const watches = new Set<{ end(): void }>();
  health.addToServer({
    // grpc-health-check never ends a Watch call, so a shutdown would wait for it.
    addService: (definition: ServiceDefinition, methods: UntypedServiceImplementation) => {
      const watch = methods.watch as (call: NodeJS.EventEmitter & { end(): void }) => void;
      server.addService(definition, {
        ...methods,
        watch: (call: NodeJS.EventEmitter & { end(): void }) => {
          watches.add(call);
          call.once("close", () => watches.delete(call));
          watch(call);
        },
      });
    },
  });
  return () => {
    for (const of of ["", name]) health.setStatus(of, "NOT_SERVING");
    for (const watch of watches) watch.end();
  };
}

function addReflection(server: Server, name: string): void {
  const definitions = loadSync(["pipeline/v1/pipeline.proto", healthProto], {
    includeDirs: [PROTOS],
  });
  new ReflectionService(definitions, { services: [name, HEALTH] }).addToServer(server);
}

async function serve(options: Options): Promise<void> {
  const { name, definition, implementation } = serviceOf(options);
  const server = new Server({
    "grpc.max_receive_message_length": -1,
    "grpc.max_send_message_length": -1,
  });
  server.addService(definition, implementation);
  const stopHealth = addHealth(server, name);
  addReflection(server, name);

  let isStopping = false;
  const stop = (): void => {
    if (isStopping) process.exit(0);
    isStopping = true;
    console.error("draining");
    stopHealth();
    server.tryShutdown(() => {
      process.exit(0);
    });
    setTimeout(() => process.exit(0), DRAIN_MS);
  };
  process.on("SIGTERM", stop);
  process.on("SIGINT", stop);
  if (options.lifeline !== undefined) watchLifeline(options.lifeline);

  const address = await bind(server, options.bind);
  const { stage, workload } = options;
  const handshake = { stage, workload, address, pid: process.pid };
  process.stdout.write(`${JSON.stringify(handshake)}\n`);
}

async function bind(server: Server, address: string): Promise<string> {
  const path = address.startsWith("unix:") ? address.slice("unix:".length) : undefined;
  if (path !== undefined) await removeStaleSocket(path);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) => {
      if (error) reject(error);
      else resolve(port);
    });
  });
  if (path === undefined) return address.replace(/\d+$/, String(port));
  process.on("exit", () => {
    rmSync(path, { force: true });
  });
  return address;
}

/** Removes the socket that a dead server has left. */
async function removeStaleSocket(path: string): Promise<void> {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return;
  const code = await new Promise<string | undefined>((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(undefined);
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      resolve(error.code);
    });
  });
  if (code !== "ECONNREFUSED") throw new Error("another server is listening there");
  unlinkSync(path);
}

/** Stops the process at the end of a pipe, whose other end the parent holds. */
function watchLifeline(descriptor: number): void {
  const pipe = new Socket({ fd: descriptor, readable: true, writable: false });
  pipe.on("close", () => process.exit(1)).resume();
}

let options: Options;
try {
  options = readOptions(process.argv.slice(2));
} catch (error) {
  console.error(`pipeline-stage: ${said(error)}`);
  process.exit(2);
}
try {
  await serve(options);
} catch (error) {
  console.error(`pipeline-stage: can't serve at ${options.bind}: ${said(error)}`);
  process.exit(1);
}
