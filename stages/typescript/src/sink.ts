// Serves the end of a run: `Sink.Write` of the contract.

import { type sendUnaryData, type ServerReadableStream, status } from "@grpc/grpc-js";

import { Draft } from "./draft.js";
import type { Folders } from "./folders.js";
import {
  type Commit,
  type SinkServer,
  Timing,
  type WriteRequest,
  type WriteSummary,
} from "./generated/pipeline/v1/pipeline.js";
import { atBatch, CallError, said, unpack } from "./payload.js";
import type { Result } from "./stage.js";
import { asCallError } from "./streams.js";
import { Meter, peakRssBytes } from "./timing.js";

/** Returns the service of a sink. */
export function sink<M>(result: Result<M>, folders: Folders): SinkServer {
  return {
    write: (call, callback) => void answer(call, callback, result, folders),
  };
}

async function answer<M>(
  call: ServerReadableStream<WriteRequest, WriteSummary>,
  callback: sendUnaryData<WriteSummary>,
  result: Result<M>,
  folders: Folders,
): Promise<void> {
  try {
    callback(null, await writeAll(call, result, folders));
  } catch (error) {
    if (!call.cancelled) callback(asCallError(error));
  }
}

async function writeAll<M>(
  call: ServerReadableStream<WriteRequest, WriteSummary>,
  result: Result<M>,
  folders: Folders,
): Promise<WriteSummary> {
  const meter = new Meter();
  // Destroying the call, which is the default, would lose the status of a failure.
  const steps = call.iterator({ destroyOnReturn: false }) as AsyncIterableIterator<WriteRequest>;
  const first = (await steps.next()) as IteratorResult<WriteRequest, undefined>;
  if (first.value?.step?.$case !== "target") throw refusal("takes a target first");
  const { path } = first.value.step.value;
  const target = folders.locate(path);
  if (target === undefined) {
    throw cannotWrite(path, "it is outside the folders that the sink serves");
  }
  const draft = await writing(path, Draft.of(target));
  try {
    const accumulator = result.create();
    const account = Timing.create();
    let batches = 0n;
    for await (const { step } of steps) {
      account.waitNs += meter.lap()[0];
      if (step?.$case === "commit") {
        checkCommit(step.value, batches, accumulator.records);
        await writing(path, draft.write(accumulator.finish()));
        // A client that has gone publishes nothing.
        if (call.cancelled) throw refusal("was cancelled");
        await writing(path, draft.publish());
        account.processNs += meter.lap()[0];
        account.processTotalCpuNs = meter.messageLap();
        account.peakRssBytes = peakRssBytes();
        const { records } = accumulator;
        return { batches, records, resultBytes: BigInt(draft.size), timing: account };
      }
      if (step?.$case !== "batch" || step.value.number !== batches) {
        const sent = step?.$case === "batch" ? `batch ${step.value.number}` : step?.$case;
        throw refusal(`takes batch ${batches} next, was sent ${sent ?? "no step"}`);
      }
      const batch = step.value;
      const payload = atBatch(batch, () => unpack(batch.payload, result.takes));
      const [decodeNs, decodeCpuNs] = meter.lap();
      await writing(path, draft.write(atBatch(batch, () => accumulator.add(payload))));
      batches += 1n;
      const [processNs, processCpuNs] = meter.lap();
      account.decodeNs += decodeNs;
      account.decodeCpuNs += decodeCpuNs;
      account.processNs += processNs;
      account.processCpuNs += processCpuNs;
    }
    throw refusal("was sent no commit, so nothing was published");
  } finally {
    await draft.close();
  }
}

function checkCommit(commit: Commit, batches: bigint, records: bigint): void {
  if (commit.batches === batches && commit.records === records) return;
  throw new CallError(
    status.DATA_LOSS,
    `${commit.records} records in ${commit.batches} batches were passed on, but the result ` +
      `counts ${records} in ${batches}; nothing was published`,
  );
}

/** Awaits a step of writing; what the system refuses is FAILED_PRECONDITION. */
async function writing<T>(path: string, step: Promise<T>): Promise<T> {
  try {
    return await step;
  } catch (error) {
    throw cannotWrite(path, said(error));
  }
}

function cannotWrite(path: string, why: string): CallError {
  return new CallError(status.FAILED_PRECONDITION, `can't write ${path}: ${why}`);
}

function refusal(why: string): CallError {
  return new CallError(status.INVALID_ARGUMENT, why);
}
