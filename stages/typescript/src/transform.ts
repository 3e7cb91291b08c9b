// Serves a transform stage: `Stage.Process` of the contract.

import type { ServerDuplexStream } from "@grpc/grpc-js";

import { type Batch, type StageServer, Timing } from "./generated/pipeline/v1/pipeline.js";
import { atBatch, pack, unpack } from "./payload.js";
import type { Stage } from "./stage.js";
import { failCall, write } from "./streams.js";
import { Meter } from "./timing.js";

/** Returns the service of a stage. */
export function transform<In, Out>(stage: Stage<In, Out>): StageServer {
  return { process: (call) => void answerAll(call, stage) };
}

/** Answers each batch with one batch of the same number, until the call ends. */
async function answerAll<In, Out>(
  call: ServerDuplexStream<Batch, Batch>,
  stage: Stage<In, Out>,
): Promise<void> {
  const meter = new Meter();
  let [sendNs, sendCpuNs] = [0n, 0n];
  try {
    // Destroying the call, which is the default, would lose the status of a failure.
    for await (const request of call.iterator({ destroyOnReturn: false }) as AsyncIterable<Batch>) {
      const [waitNs, waitCpuNs] = meter.lap();
      const reply = atBatch(request, () => answer(request, stage, meter));
      Object.assign(reply.timing!, { waitNs, waitCpuNs, sendNs, sendCpuNs });
      await write(call, reply);
      [sendNs, sendCpuNs] = meter.lap();
    }
    call.end(meter.end(sendNs));
  } catch (error) {
    failCall(call, error);
  }
}

function answer<In, Out>(request: Batch, stage: Stage<In, Out>, meter: Meter): Batch {
  const message = unpack(request.payload, stage.takes);
  const [decodeNs, decodeCpuNs] = meter.lap();
  const output = stage.apply(message);
  const [processNs, processCpuNs] = meter.lap();
  const reply = pack(request.number, output, stage.returns);
  const [encodeNs, encodeCpuNs] = meter.lap();
  const times = { decodeNs, decodeCpuNs, processNs, processCpuNs, encodeNs, encodeCpuNs };
  reply.timing = Timing.fromPartial({ ...times, processTotalCpuNs: meter.messageLap() });
  return reply;
}
