// Payloads, and the statuses of calls that fail.

import { type Metadata, status, type StatusObject } from "@grpc/grpc-js";

import type { Any } from "./generated/google/protobuf/any.js";
import type { Batch } from "./generated/pipeline/v1/pipeline.js";
import type { MessageType, Output } from "./stage.js";

/** Details travel percent-encoded in the trailers, whose size is limited. */
const MAX_DETAILS = 500;

/** The status that a call ends with. */
export class CallError extends Error implements Partial<StatusObject> {
  readonly details: string;

  constructor(
    readonly code: status,
    why: string,
    readonly metadata?: Metadata,
  ) {
    super(why);
    // Half a surrogate pair can't be encoded.
    this.details = why.slice(0, MAX_DETAILS).toWellFormed();
  }
}

/** Decodes a payload, which must be of the given type. */
export function unpack<M>(payload: Any | undefined, type: MessageType<M>): M {
  const url = payload?.typeUrl ?? "";
  // Only what follows the last slash names the type; languages differ before it.
  const name = url.slice(url.lastIndexOf("/") + 1);
  if (payload === undefined || name !== type.name) {
    throw new CallError(
      status.INVALID_ARGUMENT,
      `takes ${type.name}, was sent ${name || "no payload"}`,
    );
  }
  try {
    return type.codec.decode(payload.value);
  } catch {
    throw new CallError(status.INVALID_ARGUMENT, `was sent bytes that are no ${type.name}`);
  }
}

/** Encodes the output of a stage as batch `number`. */
export function pack<M>(number: bigint, output: Output<M>, type: MessageType<M>): Batch {
  return {
    number,
    records: BigInt(output.records),
    filtered: BigInt(output.filtered ?? 0),
    rejections: output.rejections ?? [],
    timing: undefined,
    payload: {
      typeUrl: `type.googleapis.com/${type.name}`,
      value: Buffer.from(type.codec.encode(output.message).finish()),
    },
    firstRecord: 0n,
  };
}

/** Calls a function; an error names the batch. What is no `CallError` is INTERNAL. */
export function atBatch<T>(batch: Batch, read: () => T): T {
  try {
    return read();
  } catch (error) {
    const first = batch.firstRecord > 0n ? `, from record ${batch.firstRecord}` : "";
    const code = error instanceof CallError ? error.code : status.INTERNAL;
    throw new CallError(code, `batch ${batch.number}${first}: ${said(error)}`);
  }
}

/** Returns what an error says, in one line. */
export function said(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  // Node begins the error of a system call with its code, and ends it with a path.
  const system = /^E[A-Z0-9]+: ([^,\n]*)/.exec(text);
  return system === null ? text.split("\n", 1)[0] : system[1];
}
