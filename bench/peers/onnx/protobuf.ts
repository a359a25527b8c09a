/** As much of protobuf's wire format as an ONNX file needs: fields one after another. */

export type Field = Uint8Array;

/** A whole number. */
export const integer = (field: number, value: number): Field =>
  joined([varint(field << 3), varint(value)]);

/** A 32-bit float. */
export const float = (field: number, value: number): Field =>
  joined([varint((field << 3) | 5), new Uint8Array(new Float32Array([value]).buffer)]);

export const bytes = (field: number, value: Uint8Array): Field =>
  joined([varint((field << 3) | 2), varint(value.length), value]);

export const string = (field: number, value: string): Field =>
  bytes(field, new TextEncoder().encode(value));

/** A message inside of a message. */
export const message = (field: number, fields: readonly Field[]): Field =>
  bytes(field, joined(fields));

export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/** Seven bits a byte, lowest first; a negative number has ten bytes (two's complement of 64 bits). */
function varint(value: number): Uint8Array {
  const found: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    found.push(Number(rest & 127n) | (rest > 127n ? 128 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return Uint8Array.from(found);
}
