// The arithmetic and the text of numbers that every language shares.

/**
 * Returns a finite double as results write it: with the fewest digits that read back as the same
 * double, and always as a float.
 */
export function text(value: number): string {
  const [digits, exponent] = value.toExponential().split("e") as [string, string];
  const sign = Object.is(value, -0) ? "-" : "";
  const power = Number(exponent);
  if (power < -4 || power >= 16) {
    return `${digits}e${power < 0 ? "-" : "+"}${String(Math.abs(power)).padStart(2, "0")}`;
  }
  // JavaScript writes numbers from 1e-6 to below 1e21 without an exponent.
  const decimal = String(value);
  return sign + (decimal.includes(".") ? decimal : `${decimal}.0`);
}

/** Returns an integer as two's complement, big-endian, in the fewest bytes. */
export function bytes(integer: bigint): Buffer {
  const magnitude = integer < 0n ? ~integer : integer;
  const bits = magnitude === 0n ? 0 : magnitude.toString(2).length;
  const size = Math.floor(bits / 8) + 1;
  const hexadecimal = BigInt.asUintN(8 * size, integer).toString(16);
  return Buffer.from(hexadecimal.padStart(2 * size, "0"), "hex");
}

/** Returns the integer that `bytes` encoded; no bytes are 0. */
export function integer(encoded: Uint8Array): bigint {
  if (encoded.length === 0) return 0n;
  const unsigned = BigInt(`0x${Buffer.from(encoded).toString("hex")}`);
  return BigInt.asIntN(8 * encoded.length, unsigned);
}

/** Returns numerator / denominator, rounded once; throws if that is no double. */
export function quotient(numerator: bigint, denominator: bigint): number {
  if (denominator === 0n) throw new Error("a quotient has the denominator 0");
  const magnitude = numerator < 0n ? -numerator : numerator;
  // At least 64 bits of the quotient, more than a double has.
  const shift = 64 + denominator.toString(2).length - magnitude.toString(2).length;
  const dividend = shift > 0 ? magnitude << BigInt(shift) : magnitude;
  const divisor = shift > 0 ? denominator : denominator << BigInt(-shift);
  // The last bit stands for the remainder, so that ties are only those of the exact value.
  const rounded = Number((dividend / divisor) | (dividend % divisor === 0n ? 0n : 1n));
  // In two steps, since 2 ** -shift alone may be too small for a double.
  const half = Math.trunc(shift / 2);
  const value = rounded * 2 ** -half * 2 ** -(shift - half);
  if (!Number.isFinite(value)) throw new Error("a quotient is too large for a double");
  return numerator < 0n ? -value : value;
}
