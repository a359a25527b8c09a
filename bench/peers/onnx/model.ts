/** ONNX models of a few nodes (field numbers: onnx.proto3 of the ONNX project, opset 18, IR 8). */
import { bytes, type Field, float, integer, joined, message, string } from "./protobuf.ts";

export type Attribute = number | { readonly float: number } | readonly number[];

export interface Node {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
  /** "com.microsoft" for what is ONNX Runtime's own. */
  readonly domain?: string;
}

export interface TensorData {
  readonly shape: readonly number[];
  readonly data: Float32Array | BigInt64Array;
}

export interface Model {
  readonly nodes: readonly Node[];
  /** Shapes of what is given at run time, f32. */
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  readonly constants: Readonly<Record<string, TensorData>>;
  readonly outputs: Readonly<Record<string, readonly number[]>>;
}

const FLOAT = 1;
const INT64 = 7;

/** The bytes of an .onnx file. */
export function encodeModel({ nodes, inputs, constants, outputs }: Model): Uint8Array {
  const values = (field: number, of: Model["inputs"]) =>
    Object.entries(of).map(([name, shape]) => message(field, valueInfo(name, shape)));
  const graph = [
    ...nodes.map((node) => message(1, nodeFields(node))),
    string(2, "case"),
    ...Object.entries(constants).map(([name, tensor]) => message(5, tensorFields(name, tensor))),
    ...values(11, inputs),
    ...values(12, outputs),
  ];
  const opset = (domain: string, version: number) =>
    message(8, [string(1, domain), integer(2, version)]);
  return joined([integer(1, 8), opset("", 18), opset("com.microsoft", 1), message(7, graph)]);
}

function nodeFields({ op, inputs, outputs, attributes = {}, domain = "" }: Node): Field[] {
  return [
    ...inputs.map((name) => string(1, name)),
    ...outputs.map((name) => string(2, name)),
    string(4, op),
    ...Object.entries(attributes).map(([name, value]) => message(5, attribute(name, value))),
    string(7, domain),
  ];
}

function attribute(name: string, value: Attribute): Field[] {
  const [KIND, FLOAT_KIND, INT_KIND, INTS_KIND] = [20, 1, 2, 7];
  if (typeof value === "number")
    return [string(1, name), integer(3, value), integer(KIND, INT_KIND)];
  if ("float" in value) return [string(1, name), float(2, value.float), integer(KIND, FLOAT_KIND)];
  return [string(1, name), ...value.map((n) => integer(8, n)), integer(KIND, INTS_KIND)];
}

function tensorFields(name: string, { shape, data }: TensorData): Field[] {
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const type = data instanceof Float32Array ? FLOAT : INT64;
  return [...shape.map((n) => integer(1, n)), integer(2, type), string(8, name), bytes(9, raw)];
}

function valueInfo(name: string, shape: readonly number[]): Field[] {
  const sizes = shape.map((n) => message(1, [integer(1, n)]));
  const tensor = [integer(1, FLOAT), message(2, sizes)];
  return [string(1, name), message(2, [message(1, tensor)])];
}
