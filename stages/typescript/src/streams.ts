// What the streams of all services have in common.

import { status } from "@grpc/grpc-js";

import { CallError, said } from "./payload.js";

/**
 * Sends a message and waits until it has left this process.
 *
 * So a client that does not read holds one message in memory, and no more is read for it.
 */
export function write<Out>(
  call: { write(message: Out, done: (error?: Error | null) => void): boolean },
  message: Out,
): Promise<void> {
  return new Promise((resolve, reject) => {
    call.write(message, (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
}

/** Ends a call with the status for an error, unless the client has cancelled it. */
export function failCall(
  call: { cancelled: boolean; emit(event: "error", error: Error): boolean },
  error: unknown,
): void {
  if (!call.cancelled) call.emit("error", asCallError(error));
}

/** Returns the status for an error. */
export function asCallError(error: unknown): CallError {
  return error instanceof CallError ? error : new CallError(status.INTERNAL, said(error));
}
