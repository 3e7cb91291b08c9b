// What stage functions take and return.

import type { MessageFns, Rejection } from "./generated/pipeline/v1/pipeline.js";

/** One batch, as a stage function returns it. */
export interface Output<M> {
  message: M;
  records: number;
  filtered?: number;
  rejections?: Rejection[];
}

/** A message type of the contract. */
export interface MessageType<M> {
  name: string;
  codec: MessageFns<M>;
}

/** A pure function from one message to the next, with the types of both. */
export interface Stage<In, Out> {
  takes: MessageType<In>;
  returns: MessageType<Out>;
  apply: (message: In) => Output<Out>;
}

/** Folds the payloads that a sink is sent into the bytes of the result. */
export interface Accumulator<M> {
  /** How many records the payloads stand for. */
  readonly records: bigint;
  /** Adds one payload, and returns the text of the result that is final. */
  add(message: M): string;
  /** Returns the rest of the result. */
  finish(): string;
}

export interface Result<M> {
  takes: MessageType<M>;
  create: () => Accumulator<M>;
}

/** Says why a record is rejected. */
export class Refusal extends Error {
  constructor(
    readonly reason: string,
    readonly field = "",
  ) {
    super(reason);
  }

  /** Returns the rejection of the record with this sequence number. */
  rejection(record: bigint): Rejection {
    return { record, reason: this.reason, field: this.field };
  }
}

/** Throws unless each column has the right number of values. */
export function checkColumns<M>(
  name: string,
  message: M,
  lengths: Partial<Record<keyof M, number>>,
): void {
  for (const [column, length] of Object.entries(lengths) as [keyof M & string, number][]) {
    const values = (message[column] as unknown[]).length;
    if (values !== length) {
      throw new Error(`${name}.${column} has ${values} values, not ${length}`);
    }
  }
}
