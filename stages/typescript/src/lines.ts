// Cuts a stream of lines into batches, without doing any I/O.

import type { Lines } from "./generated/pipeline/v1/lines.js";

const LF = 10;
const CR = 13;

/** When a batch is cut. */
export interface Limits {
  batchRecords: number;
  batchBytes: number;
  /** The longest line, its end not counted. */
  maxLineBytes: number;
  /** Where to stop; 0 takes all. */
  maxRecords: number;
  /** How long a batch may wait for more lines; 0 for ever. */
  lingerMs: number;
}

export interface LineBatch {
  records: number;
  lines: Lines;
}

/** Cuts blocks of bytes into batches of whole lines. */
export class LineBatcher {
  /** When the unfinished batch has waited long enough, by `performance.now`. */
  due = Infinity;
  #taken = 0;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #records = 0;
  #tooLong: bigint[] = [];
  /** The beginning of an unfinished line, or that it is too long and dropped. */
  #partial: Buffer = Buffer.alloc(0);
  #isDropping = false;

  constructor(private readonly limits: Limits) {}

  /** Whether no more input is wanted. */
  get isDone(): boolean {
    return this.limits.maxRecords > 0 && this.#taken >= this.limits.maxRecords;
  }

  /** Takes the next bytes of the stream; yields the batches that they fill. */
  *feed(block: Buffer): Generator<LineBatch> {
    let start = 0;
    for (let end; (end = block.indexOf(LF, start)) >= 0 && !this.isDone; start = end + 1) {
      // With its LF.
      let line = block.subarray(start, end + 1);
      if (this.#partial.length > 0) line = Buffer.concat([this.#partial, line]);
      this.#partial = Buffer.alloc(0);
      yield* this.#take(line);
    }
    if (this.isDone) return;
    if (!this.#isDropping) this.#partial = Buffer.concat([this.#partial, block.subarray(start)]);
    // One byte over may still be the CR of a line end.
    if (this.#partial.length > this.limits.maxLineBytes + 1) {
      this.#partial = Buffer.alloc(0);
      this.#isDropping = true;
    }
  }

  /** Takes the end of the stream; yields what is left. */
  *finish(): Generator<LineBatch> {
    if (this.#partial.length > 0 || this.#isDropping) yield* this.feed(Buffer.from([LF]));
    yield* this.cut();
  }

  /** Yields the unfinished batch, if there is one; keeps a partial line. */
  *cut(): Generator<LineBatch> {
    if (this.#records === 0) return;
    const lines = {
      firstRecord: BigInt(this.#taken - this.#records + 1),
      text: Buffer.concat(this.#pieces),
      tooLong: this.#tooLong,
    };
    const batch = { records: this.#records, lines };
    this.#pieces = [];
    this.#bytes = 0;
    this.#records = 0;
    this.#tooLong = [];
    this.due = Infinity;
    yield batch;
  }

  *#take(line: Buffer): Generator<LineBatch> {
    const content = line.length - (line.at(-2) === CR ? 2 : 1);
    const isTooLong = this.#isDropping || content > this.limits.maxLineBytes;
    this.#isDropping = false;
    const kept = isTooLong ? Buffer.from([LF]) : line;
    if (this.#bytes + kept.length > this.limits.batchBytes) yield* this.cut();
    if (this.#records === 0 && this.limits.lingerMs > 0) {
      this.due = performance.now() + this.limits.lingerMs;
    }
    if (isTooLong) this.#tooLong.push(BigInt(this.#records));
    this.#pieces.push(kept);
    this.#bytes += kept.length;
    this.#records += 1;
    this.#taken += 1;
    if (this.#records === this.limits.batchRecords) yield* this.cut();
  }
}
