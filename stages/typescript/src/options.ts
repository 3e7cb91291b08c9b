import { parseArgs } from "node:util";

export const STAGES = ["ingest", "parse", "rules", "aggregate", "sink"] as const;
export const WORKLOADS = ["events", "work-items"] as const;

export interface Options {
  stage: (typeof STAGES)[number];
  workload: (typeof WORKLOADS)[number];
  /** HOST:PORT or unix:PATH; port 0 takes a free port. */
  bind: string;
  /** Folders in which ingest may read and the sink may write. */
  folders: string[];
  /** Let ingest read standard input as "-". */
  stdin: boolean;
  /** Descriptor of a pipe; at its end the parent is gone, and the server stops. */
  lifeline: number | undefined;
}

/** Reads the command line; throws an error that says what is wrong with it. */
export function readOptions(words: string[]): Options {
  const { values } = parseArgs({
    args: words,
    options: {
      stage: { type: "string" },
      workload: { type: "string" },
      bind: { type: "string", default: "127.0.0.1:0" },
      folder: { type: "string", multiple: true, default: [] },
      stdin: { type: "boolean", default: false },
      lifeline: { type: "string" },
    },
  });
  const stage = oneOf("stage", STAGES, values.stage);
  const workload = oneOf("workload", WORKLOADS, values.workload);
  if (stage === "ingest" && workload === "work-items") {
    throw new Error("ingest of work-items is in Python only: its generator is numpy's");
  }
  const { bind, folder: folders, stdin } = values;
  if (!/^(unix:.+|.+:\d+)$/.test(bind)) {
    throw new Error(`--bind ${bind}: must be HOST:PORT or unix:PATH`);
  }
  const lifeline = values.lifeline === undefined ? undefined : Number(values.lifeline);
  if (lifeline !== undefined && !/^\d+$/.test(values.lifeline ?? "")) {
    throw new Error(`--lifeline ${values.lifeline}: must be a descriptor`);
  }
  return { stage, workload, bind, folders, stdin, lifeline };
}

function oneOf<T extends string>(name: string, known: readonly T[], given: string | undefined): T {
  const found = known.find((one) => one === given);
  if (found === undefined) throw new Error(`--${name} ${given ?? ""}: must be ${known.join(", ")}`);
  return found;
}
