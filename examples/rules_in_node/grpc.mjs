// A gRPC server on Node's own http2: cleartext HTTP/2, and no dependency.
//
// A method is an async generator function. It takes the requests of a call as an async
// iterable of bytes and yields the bytes of each reply; whether it is unary or
// streaming is up to it. What it throws ends the call with a status. Beside the requests
// it is given a signal, aborted once the call is over, and the headers of the call.

import { once } from "node:events";
import http2 from "node:http2";

/** The status codes that are used here. */
export const Code = Object.freeze({
  OK: 0,
  INVALID_ARGUMENT: 3,
  NOT_FOUND: 5,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
});

// A message on the wire: one byte that says whether it is compressed, four of length.
const PREFIX_BYTES = 5;

// Clients take 8 KiB of metadata for granted; escaped, a character has up to 9 bytes.
const MAX_DETAILS = 800;

// What was sent last can be lost where a connection is cut at once.
const LINGER_MS = 200;

/** Thrown by a method, it ends the call with this status and trailing metadata. */
export class StatusError extends Error {
  name = "StatusError";

  constructor(code, details, metadata = {}) {
    super(details);
    this.code = code;
    this.metadata = metadata;
  }
}

/** Serves methods, given by path, such as `/grpc.health.v1.Health/Check`. */
export class GrpcServer {
  #http2;
  #sockets = new Set();
  #sessions = new Set();

  constructor(methods) {
    this.#http2 = http2.createServer({
      // In MB. Batches may be of any size, and many streams may wait on one connection.
      maxSessionMemory: 4096,
    });
    this.#http2.on("connection", (socket) => remember(this.#sockets, socket));
    this.#http2.on("session", (session) => remember(this.#sessions, session));
    this.#http2.on("stream", (stream, headers) => {
      // A client that goes away is no news; whoever reads or writes learns of it.
      stream.on("error", () => {});
      answer(stream, headers, methods[headers[":path"]] ?? unimplemented);
    });
  }

  /** Binds a free port of this machine and returns the address. */
  async listen() {
    this.#http2.listen(0, "127.0.0.1");
    await once(this.#http2, "listening");
    return `127.0.0.1:${this.#http2.address().port}`;
  }

  /**
   * Refuses new streams, lets the open ones finish, and cuts what is left after
   * `graceMs`. Then nothing keeps the process running.
   */
  drain(graceMs) {
    this.#http2.close();
    for (const socket of this.#sockets) {
      const destroy = () => socket.destroy();
      // A session that is over ends its side, but a client need not heed that.
      socket.once("finish", () => setTimeout(destroy, LINGER_MS).unref());
      setTimeout(destroy, graceMs).unref();
    }
    for (const session of this.#sessions) session.close();
  }
}

function remember(open, what) {
  open.add(what);
  what.once("close", () => open.delete(what));
}

/**
 * Yields the messages of a stream as soon as each is there, whatever its size and
 * however it was cut up on the way.
 *
 * Takes no more from the stream while nobody asks for the next one; then the client's
 * window fills up, and it has to wait.
 */
export async function* messages(stream) {
  let chunks = [];
  let length = 0;
  let wanted = PREFIX_BYTES;
  // Without the option, a method that ends early would take the reply stream with it.
  for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
    chunks.push(chunk);
    length += chunk.length;
    if (length < wanted) continue;
    let rest = Buffer.concat(chunks, length);
    for (;;) {
      const whole = rest.length >= PREFIX_BYTES;
      wanted = PREFIX_BYTES + (whole ? rest.readUInt32BE(1) : 0);
      if (!whole || rest.length < wanted) break;
      if (rest[0] !== 0) {
        throw new StatusError(Code.UNIMPLEMENTED, "takes no compressed messages");
      }
      yield rest.subarray(PREFIX_BYTES, wanted);
      rest = rest.subarray(wanted);
    }
    chunks = [rest];
    length = rest.length;
  }
  if (length > 0) {
    throw new StatusError(Code.INTERNAL, "the requests end in the middle of a message");
  }
}

async function answer(stream, headers, method) {
  const gone = new AbortController();
  stream.once("close", () => gone.abort());
  let status;
  try {
    stream.respond(
      { "content-type": "application/grpc", "grpc-accept-encoding": "identity" },
      { waitForTrailers: true },
    );
    for await (const reply of method(messages(stream), gone.signal, headers)) {
      await send(stream, reply);
    }
    status = new StatusError(Code.OK, "");
  } catch (error) {
    status =
      error instanceof StatusError ? error : new StatusError(Code.INTERNAL, `${error}`);
  }
  end(stream, status);
}

/**
 * Sends a message and waits until it has left this process.
 *
 * That bounds what lies here to one reply a stream, since a client that does not read
 * lets nothing leave; and it gives a reply its way out before the next is worked on.
 */
function send(stream, message) {
  const prefix = Buffer.alloc(PREFIX_BYTES);
  prefix.writeUInt32BE(message.length, 1);
  return new Promise((resolve, reject) => {
    stream.write(Buffer.concat([prefix, message]), (error) =>
      error ? reject(error) : resolve(),
    );
  });
}

function end(stream, { code, message, metadata }) {
  stream.once("wantTrailers", () => {
    const trailers = { "grpc-status": code, ...metadata };
    if (message) trailers["grpc-message"] = percentEncoded(message);
    stream.sendTrailers(trailers);
    // A client that still sends is told to stop; the trailers go out before that.
    setImmediate(() => stream.close());
  });
  stream.end();
}

/** Escapes all but printable ASCII, as gRPC has it for `grpc-message`. */
function percentEncoded(text) {
  return Array.from(Buffer.from(text.slice(0, MAX_DETAILS)), (byte) =>
    byte < 0x20 || byte > 0x7e || byte === 0x25
      ? `%${byte.toString(16).toUpperCase().padStart(2, "0")}`
      : String.fromCharCode(byte),
  ).join("");
}

async function* unimplemented(_requests, _gone, headers) {
  throw new StatusError(Code.UNIMPLEMENTED, `there is no method ${headers[":path"]}`);
}
