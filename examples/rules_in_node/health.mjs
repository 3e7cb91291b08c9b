// The standard health service, grpc.health.v1.Health.

import { EventEmitter, once } from "node:events";

import { Code, StatusError } from "./grpc.mjs";
import { fields, Message } from "./protobuf.mjs";

const SERVING = 1;
const NOT_SERVING = 2;
const SERVICE_UNKNOWN = 3;

/** Says of the services that it is given that they serve, until `stop`. */
export class Health {
  #services;
  #status = SERVING;
  // Each call of Watch listens.
  #stopping = new EventEmitter().setMaxListeners(0);

  constructor(services) {
    this.#services = services;
  }

  /** Returns the methods for a server. */
  get methods() {
    return {
      "/grpc.health.v1.Health/Check": (requests) => this.#check(requests),
      "/grpc.health.v1.Health/Watch": (requests, gone) => this.#watch(requests, gone),
    };
  }

  /** Tells all who watch that no new streams are taken, and ends their calls. */
  stop() {
    this.#status = NOT_SERVING;
    this.#stopping.emit("stop");
  }

  async *#check(requests) {
    const status = this.#statusOf(await askedFor(requests));
    if (status === SERVICE_UNKNOWN) {
      throw new StatusError(Code.NOT_FOUND, "there is no such service here");
    }
    yield response(status);
  }

  async *#watch(requests, gone) {
    const service = await askedFor(requests);
    yield response(this.#statusOf(service));
    if (this.#status === SERVING) await once(this.#stopping, "stop", { signal: gone });
    yield response(this.#statusOf(service));
  }

  #statusOf(service) {
    return this.#services.includes(service) ? this.#status : SERVICE_UNKNOWN;
  }
}

/** Returns the service that the one request of a call names. */
async function askedFor(requests) {
  let service = "";
  for await (const request of requests) {
    for (const { number, bytes } of fields(request)) {
      if (number === 1) service = bytes?.toString() ?? service;
    }
    break;
  }
  return service;
}

function response(status) {
  return new Message().uint(1, status).finish();
}
