// Files, pipes and standard input, for a source to read.

import { status } from "@grpc/grpc-js";
import * as fs from "node:fs";
import { stat } from "node:fs/promises";
import { Socket } from "node:net";
import { promisify } from "node:util";

import { type Folders, STANDARD_INPUT } from "./folders.js";
import { CallError, said } from "./payload.js";

const readFrom = promisify(fs.read);

const BLOCK_BYTES = 256 * 1024;
const STANDARD_INPUT_FD = 0;
/** setTimeout takes a longer time for none. */
const MAX_TIMER_MS = 2 ** 31 - 1;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);
const COMPRESSED = [
  { kind: "gzip", mark: Buffer.from([0x1f, 0x8b]) },
  { kind: "zstd", mark: Buffer.from([0x28, 0xb5, 0x2f, 0xfd]) },
];
const MARKS = [BYTE_ORDER_MARK, ...COMPRESSED.map(({ mark }) => mark)];

/** What a source reads. */
export interface Input {
  /** Whether a reader may have to wait. */
  readonly isPipe: boolean;
  /** Returns the next block, empty at the end; undefined if there is none by `due`. */
  read(due: number): Promise<Buffer | undefined>;
  close(): void;
}

/** Opens what a client has named; the returned input has no byte order mark. */
export async function openInput(
  folders: Folders,
  name: string,
  cancelled: AbortSignal,
): Promise<Input> {
  const input = opened(folders, name, cancelled);
  try {
    return new Unmarked(input, await headOf(input, name));
  } catch (error) {
    input.close();
    throw error;
  }
}

function opened(folders: Folders, name: string, cancelled: AbortSignal): Input {
  if (name === STANDARD_INPUT) {
    if (!folders.standardInput) throw refusal("ingest does not serve standard input");
    return inputOf(STANDARD_INPUT_FD, "standard input", cancelled);
  }
  const path = folders.locate(name);
  if (path === undefined) {
    throw refusal(`can't read ${name}: it is outside the folders that ingest serves`);
  }
  try {
    // Opening a pipe would wait for a writer otherwise.
    const flags = fs.constants.O_RDONLY | fs.constants.O_NONBLOCK;
    return inputOf(fs.openSync(path, flags), name, cancelled, path);
  } catch (error) {
    throw error instanceof CallError ? error : refusal(`can't read ${name}: ${said(error)}`);
  }
}

function inputOf(descriptor: number, name: string, cancelled: AbortSignal, path?: string): Input {
  const opened = fs.fstatSync(descriptor);
  if (opened.isDirectory()) {
    fs.closeSync(descriptor);
    throw refusal(`can't read ${name}: it is a folder`);
  }
  if (opened.isFIFO() || opened.isSocket()) return new Pipe(descriptor, cancelled);
  return new File(descriptor, opened, name, path);
}

/** Returns the first block; of a pipe, enough to tell whether it begins with a mark. */
async function headOf(input: Input, name: string): Promise<Buffer> {
  let head = Buffer.alloc(0);
  for (;;) {
    const block = await input.read(Infinity);
    if (block === undefined) continue;
    head = Buffer.concat([head, block]);
    const mayBeMark = MARKS.some(
      (mark) => head.length < mark.length && mark.subarray(0, head.length).equals(head),
    );
    if (block.length === 0 || !mayBeMark) break;
  }
  for (const { kind, mark } of COMPRESSED) {
    if (head.subarray(0, mark.length).equals(mark)) {
      throw refusal(`can't read ${name}: it is compressed by ${kind}; decompress it first`);
    }
  }
  const hasMark = head.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK);
  return hasMark ? head.subarray(BYTE_ORDER_MARK.length) : head;
}

/** An input whose first block was read before. */
class Unmarked implements Input {
  #head: Buffer;

  constructor(
    private readonly input: Input,
    head: Buffer,
  ) {
    this.#head = head;
  }

  get isPipe(): boolean {
    return this.input.isPipe;
  }

  async read(due: number): Promise<Buffer | undefined> {
    const head = this.#head;
    this.#head = Buffer.alloc(0);
    return head.length > 0 ? head : this.input.read(due);
  }

  close(): void {
    this.input.close();
  }
}

/** A file that must not change while it is read, except that it may grow; or a device. */
class File implements Input {
  readonly isPipe = false;
  #left: number;
  #isOpen = true;

  constructor(
    private readonly descriptor: number,
    private readonly opened: fs.Stats,
    private readonly name: string,
    private readonly path?: string,
  ) {
    this.#left = opened.size;
  }

  async read(): Promise<Buffer> {
    // Devices and files of /proc say that they have no bytes, and standard input may have
    // been read from before. They are read to their end.
    const hasSize = this.opened.size > 0 && this.path !== undefined;
    const size = hasSize ? Math.min(this.#left, BLOCK_BYTES) : BLOCK_BYTES;
    const buffer = Buffer.allocUnsafe(size);
    const { bytesRead } = await readFrom(this.descriptor, buffer, 0, size, null);
    this.#left -= bytesRead;
    if (hasSize) {
      const how = bytesRead === 0 && size > 0 ? "truncated" : await this.#change();
      if (how !== "") {
        throw refusal(
          `${this.name} was ${how} while it was read; run again when nothing changes it`,
        );
      }
    }
    return buffer.subarray(0, bytesRead);
  }

  /** Returns how the file has changed since it was opened. */
  async #change(): Promise<string> {
    const now = fs.fstatSync(this.descriptor);
    if (now.size < this.opened.size) return "truncated";
    // A larger file was appended to, and what was there before is read.
    if (now.size === this.opened.size && now.mtimeMs !== this.opened.mtimeMs) return "written to";
    if (this.path === undefined || this.#left > 0) return "";
    try {
      const there = await stat(this.path);
      return there.ino === now.ino && there.dev === now.dev ? "" : "replaced";
    } catch {
      return "removed";
    }
  }

  close(): void {
    if (this.#isOpen && this.descriptor !== STANDARD_INPUT_FD) fs.closeSync(this.descriptor);
    this.#isOpen = false;
  }
}

/** A pipe, a device or a terminal: something whose bytes have to be waited for. */
class Pipe implements Input {
  readonly isPipe = true;
  readonly #socket: Socket;
  readonly #blocks: AsyncIterator<Buffer>;
  #next: Promise<Buffer> | undefined;

  constructor(
    private readonly descriptor: number,
    private readonly cancelled: AbortSignal,
  ) {
    this.#socket = new Socket({ fd: descriptor, readable: true, writable: false });
    this.#blocks = this.#socket[Symbol.asyncIterator]();
    cancelled.addEventListener("abort", () => {
      this.close();
    });
  }

  async read(due: number): Promise<Buffer | undefined> {
    this.#next ??= this.#blocks
      .next()
      .then(({ done, value }) => (done === true ? Buffer.alloc(0) : value))
      .catch((error: unknown) => {
        if (!this.cancelled.aborted) throw error;
        return Buffer.alloc(0); // nobody reads any more
      });
    if (due === Infinity) return this.#taken(await this.#next);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<undefined>((resolve) => {
      timer = setTimeout(
        () => {
          resolve(undefined);
        },
        Math.min(Math.max(0, due - performance.now()), MAX_TIMER_MS),
      );
    });
    try {
      return this.#taken(await Promise.race([this.#next, late]));
    } finally {
      clearTimeout(timer);
    }
  }

  #taken(block: Buffer | undefined): Buffer | undefined {
    if (block !== undefined) this.#next = undefined;
    return block;
  }

  close(): void {
    // Standard input belongs to the process.
    if (this.descriptor !== STANDARD_INPUT_FD) this.#socket.destroy();
  }
}

function refusal(why: string): CallError {
  return new CallError(status.FAILED_PRECONDITION, why);
}
