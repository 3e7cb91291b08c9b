// The protobuf wire format, read and written by hand.
//
// A 64-bit integer is a BigInt, so that each one is exact; what is stored by position
// or by small number (enums, lengths) is a Number.

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const GROUP = 3;
const END_GROUP = 4;
const FIXED32 = 5;

// A byte of a varint has seven bits, so seven bytes have 49, which a Number holds.
const NUMBER_BYTES = 7;
const MAX_VARINT_BYTES = 10;
const MAX_FIELD = 2 ** 29 - 1;

/** Bytes that are no message. */
export class WireError extends Error {
  name = "WireError";
}

/**
 * Yields the fields of a message, each as `{ number, varint }` or `{ number, bytes }`.
 *
 * Fixed-width fields come as bytes under `fixed`, and groups are left out. A reader
 * takes what it knows and so skips the rest, also a field of another wire type than it
 * expects. Throws WireError where the bytes are no message.
 */
export function* fields(message) {
  const reader = new Reader(message);
  const groups = [];
  while (!reader.atEnd) {
    const key = Number(reader.varint());
    const number = Math.floor(key / 8);
    if (number < 1 || number > MAX_FIELD) throw new WireError(`field number ${number}`);
    const field = { number };
    switch (key % 8) {
      case VARINT:
        field.varint = reader.varint();
        break;
      case FIXED64:
        field.fixed = reader.take(8);
        break;
      case BYTES:
        field.bytes = reader.take(Number(reader.varint()));
        break;
      case FIXED32:
        field.fixed = reader.take(4);
        break;
      case GROUP:
        groups.push(number);
        continue;
      case END_GROUP:
        if (groups.pop() !== number) throw new WireError("a group ends in another");
        continue;
      default:
        throw new WireError(`wire type ${key % 8}`);
    }
    if (groups.length === 0) yield field;
  }
  if (groups.length > 0) throw new WireError("a group has no end");
}

/** Appends to a column what a repeated field of varints has, be it packed or not. */
export function append(column, field, read) {
  if (field.varint !== undefined) column.push(read(field.varint));
  if (field.bytes === undefined) return;
  const reader = new Reader(field.bytes);
  while (!reader.atEnd) column.push(read(reader.varint()));
}

/** Reads an enum, which may have values that this program does not know. */
export const asEnum = (varint) => Number(BigInt.asIntN(32, varint));

/** Reads a sint64. */
export const asSint64 = (varint) => (varint >> 1n) ^ -(varint & 1n);

/** Makes the varint of an enum; a negative one takes ten bytes. */
export const fromEnum = (value) => BigInt.asUintN(64, BigInt(value));

/** Makes the varint of a sint64. */
export const fromSint64 = (value) => BigInt.asUintN(64, (value << 1n) ^ (value >> 63n));

/** Builds a message field by field; like any proto3 writer it leaves out zeros. */
export class Message {
  #bytes = [];
  #parts = [];

  /** Adds an unsigned integer, from a BigInt or a Number. */
  uint(number, value) {
    if (BigInt(value) !== 0n) {
      this.#varint(number * 8 + VARINT);
      this.#varint(value);
    }
    return this;
  }

  /** Adds text. */
  text(number, text) {
    return text === "" ? this : this.bytes(number, Buffer.from(text));
  }

  /** Adds bytes, or another message. */
  bytes(number, bytes) {
    this.#varint(number * 8 + BYTES);
    this.#varint(bytes.length);
    this.#flush();
    this.#parts.push(bytes);
    return this;
  }

  /** Adds a column of varints, packed. */
  packed(number, column, write) {
    if (column.length === 0) return this;
    const values = new Message();
    for (const value of column) values.#varint(write(value));
    return this.bytes(number, values.finish());
  }

  /** Returns the message's bytes. */
  finish() {
    this.#flush();
    return Buffer.concat(this.#parts);
  }

  #varint(value) {
    let rest = BigInt(value);
    while (rest > 127n) {
      this.#bytes.push(Number(rest & 127n) | 128);
      rest >>= 7n;
    }
    this.#bytes.push(Number(rest));
  }

  #flush() {
    this.#parts.push(Buffer.from(this.#bytes));
    this.#bytes = [];
  }
}

class Reader {
  #bytes;
  #at = 0;

  constructor(bytes) {
    this.#bytes = bytes;
  }

  get atEnd() {
    return this.#at === this.#bytes.length;
  }

  take(length) {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw new WireError("ends in a field");
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }

  varint() {
    let low = 0;
    let high = 0n;
    for (let count = 0; count < MAX_VARINT_BYTES; count += 1) {
      if (this.atEnd) throw new WireError("ends in a varint");
      const byte = this.#bytes[this.#at];
      this.#at += 1;
      if (count < NUMBER_BYTES) low += (byte & 127) * 2 ** (7 * count);
      else high |= BigInt(byte & 127) << BigInt(7 * count);
      if (byte < 128) return BigInt.asUintN(64, high | BigInt(low));
    }
    throw new WireError(`a varint has more than ${MAX_VARINT_BYTES} bytes`);
  }
}
