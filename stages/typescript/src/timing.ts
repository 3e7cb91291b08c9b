// Where the time of a batch goes.

import { existsSync, readFileSync } from "node:fs";

import { Metadata } from "@grpc/grpc-js";

import { Timing } from "./generated/pipeline/v1/pipeline.js";

/** The trailing metadata with what was spent after the last message. */
const TIMING_KEY = "pipeline-timing-bin";

/** What Linux tells of the process. */
const STATUS = "/proc/self/status";

/**
 * Takes the times of one call.
 *
 * CPU times are those of the whole process, since Node 20 has no clock of a thread. Node runs
 * stage functions one at a time, and what other threads do beside them is little.
 */
export class Meter {
  #last = process.hrtime.bigint();
  #cpu = cpu();
  #message = this.#cpu;

  /** Returns the wall-clock and CPU nanoseconds since the last call. */
  lap(): [bigint, bigint] {
    const [last, lastCpu] = [this.#last, this.#cpu];
    this.#last = process.hrtime.bigint();
    this.#cpu = cpu();
    return [this.#last - last, this.#cpu - lastCpu];
  }

  /** Returns the CPU nanoseconds of the process since the last call. */
  messageLap(): bigint {
    const last = this.#message;
    this.#message = cpu();
    return this.#message - last;
  }

  /** Returns the trailing metadata with what was spent since the last message. */
  end(sendNs: bigint): Metadata {
    const [waitNs] = this.lap();
    const timing = Timing.fromPartial({
      waitNs,
      sendNs,
      processTotalCpuNs: this.messageLap(),
      peakRssBytes: peakRssBytes(),
    });
    const metadata = new Metadata();
    metadata.set(TIMING_KEY, Buffer.from(Timing.encode(timing).finish()));
    return metadata;
  }
}

/** Returns the most memory that the process had resident. */
export function peakRssBytes(): bigint {
  // Linux passes the peak of getrusage on from the parent process, so it may be too high.
  const status = existsSync(STATUS) ? readFileSync(STATUS, "latin1") : "";
  const kib = /^VmHWM:\s*(\d+)/m.exec(status)?.[1];
  if (kib !== undefined) {
    return BigInt(kib) * 1024n;
  }
  return BigInt(process.resourceUsage().maxRSS) * 1024n;
}

function cpu(): bigint {
  const { user, system } = process.cpuUsage();
  return BigInt(user + system) * 1000n;
}
