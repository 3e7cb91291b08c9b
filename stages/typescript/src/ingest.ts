// Serves a source of lines: `Ingest.Read` of the contract.

import { type ServerWritableStream, status } from "@grpc/grpc-js";

import { LineSource, Lines } from "./generated/pipeline/v1/lines.js";
import {
  type Batch,
  type IngestServer,
  type ReadRequest,
  Timing,
} from "./generated/pipeline/v1/pipeline.js";
import type { Folders } from "./folders.js";
import { openInput } from "./inputs.js";
import { type LineBatch, LineBatcher, type Limits } from "./lines.js";
import { CallError, pack, unpack } from "./payload.js";
import type { MessageType } from "./stage.js";
import { failCall, write } from "./streams.js";
import { Meter } from "./timing.js";

const LINE_SOURCE: MessageType<LineSource> = { name: "pipeline.v1.LineSource", codec: LineSource };
const LINES: MessageType<Lines> = { name: "pipeline.v1.Lines", codec: Lines };

/** Returns the service of a source of lines. */
export function source(folders: Folders): IngestServer {
  return { read: (call) => void sendAll(call, folders) };
}

async function sendAll(
  call: ServerWritableStream<ReadRequest, Batch>,
  folders: Folders,
): Promise<void> {
  const meter = new Meter();
  let [number, sendNs, waitedNs] = [0n, 0n, 0n];

  async function send({ records, lines }: LineBatch): Promise<void> {
    const [spentNs, processCpuNs] = meter.lap();
    const batch = pack(number, { message: lines, records }, LINES);
    const [encodeNs, encodeCpuNs] = meter.lap();
    batch.timing = Timing.fromPartial({
      waitNs: waitedNs,
      processNs: spentNs > waitedNs ? spentNs - waitedNs : 0n,
      processCpuNs,
      encodeNs,
      encodeCpuNs,
      sendNs,
      processTotalCpuNs: meter.messageLap(),
    });
    number += 1n;
    waitedNs = 0n;
    await write(call, batch);
    [sendNs] = meter.lap();
  }

  try {
    const spec = unpack(call.request.source, LINE_SOURCE);
    const limits = limitsOf(call.request, spec);
    const cancelled = new AbortController();
    call.on("cancelled", () => {
      cancelled.abort();
    });
    const input = await openInput(folders, spec.path, cancelled.signal);
    try {
      // A file never makes its reader wait.
      const batcher = new LineBatcher(input.isPipe ? limits : { ...limits, lingerMs: 0 });
      while (!batcher.isDone) {
        const began = process.hrtime.bigint();
        const block = await input.read(batcher.due);
        if (input.isPipe) waitedNs += process.hrtime.bigint() - began;
        if (call.cancelled) return;
        if (block?.length === 0) break;
        const batches = block === undefined ? [] : batcher.feed(block);
        for (const batch of batches) await send(batch);
        // Lines may have come again and again, so that nothing was ever late.
        if (batcher.due <= performance.now()) {
          for (const batch of batcher.cut()) await send(batch);
        }
      }
      for (const batch of batcher.finish()) await send(batch);
    } finally {
      input.close();
    }
    call.end(meter.end(sendNs));
  } catch (error) {
    failCall(call, error);
  }
}

function limitsOf(request: ReadRequest, spec: LineSource): Limits {
  return {
    batchRecords: atLeast1("batch size", request.batchRecords),
    batchBytes: atLeast1("batch bytes", request.batchBytes),
    maxLineBytes: atLeast1("line limit", spec.maxLineBytes),
    maxRecords: Number(request.maxRecords),
    lingerMs: Number(request.lingerNs) / 1e6,
  };
}

function atLeast1(name: string, value: bigint): number {
  if (value < 1n) {
    throw new CallError(status.INVALID_ARGUMENT, `${name} ${value}: must be 1 or more`);
  }
  return Number(value);
}
