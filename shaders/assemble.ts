/** Puts the final WGSL of a kernel together: enables, constants, accessors, fragments, the file. */
import type { ConstantValue, Dims, Kernel, OperandSpec, StorageType } from "./kernel.ts";

export type OperandTypes = Readonly<Record<string, StorageType | undefined>>;

/**
 * `read(stem)` gives the text of `<stem>.wgsl` in this folder ("gemm", "lib/grid"). `bake` makes the
 * kernel's dims constants; else they are a uniform behind the last operand.
 */
export function assemble<P>(
  kernel: Kernel<P>,
  params: P,
  types: OperandTypes,
  bake: boolean,
  read: (stem: string) => string,
): string {
  const absent = kernel.operands.filter(({ name }) => types[name] === undefined);
  return [
    ...(kernel.enables ?? []).map((name) => `enable ${name};`),
    ...Object.entries(kernel.constants(params)).map(([name, value]) => constantLine(name, value)),
    ...dimsLines(kernel, params, bake),
    ...kernel.operands.map((operand) => accessors(operand, types[operand.name])),
    ...(kernel.lib ?? []).map((stem) => read(`lib/${stem}`)),
    withoutBindings(read(kernel.name), absent),
  ].join("\n");
}

function dimsLines<P>(kernel: Kernel<P>, params: P, bake: boolean): string[] {
  const dims = Object.entries(kernel.dims?.(params) ?? {});
  if (dims.length === 0) return [];
  const fields = dims.map(([name, value]) => `${name}: ${dimType(value)}`);
  const values = dims.map(([, value]) => dimText(value));
  const binding = kernel.operands.length;
  return [
    `struct Dims { ${fields.join(", ")} }`,
    bake
      ? `const dims = Dims(${values.join(", ")});`
      : `@group(0) @binding(${binding}) var<uniform> dims: Dims;`,
  ];
}

function dimType(value: Dims[string]): string {
  if (typeof value === "number") return "u32";
  return "f32" in value ? "f32" : "i32";
}

function dimText(value: Dims[string]): string {
  if (typeof value === "number") return `${value}u`;
  return "f32" in value ? float(value.f32) : `i32(${value.i32})`;
}

/** The dims as the uniform holds them: four bytes each, in order; empty if the kernel has none. */
export function dimsBytes<P>(kernel: Kernel<P>, params: P): Uint8Array<ArrayBuffer> {
  const dims = Object.values(kernel.dims?.(params) ?? {});
  const view = new DataView(new ArrayBuffer(4 * dims.length));
  dims.forEach((value, i) => {
    if (typeof value === "number") view.setUint32(4 * i, value, true);
    else if ("f32" in value) view.setFloat32(4 * i, value.f32, true);
    else view.setInt32(4 * i, value.i32, true);
  });
  return new Uint8Array(view.buffer);
}

function constantLine(name: string, value: ConstantValue): string {
  if (typeof value === "boolean") return `const ${name} = ${value};`;
  if (typeof value === "number") return `const ${name} = ${value}u;`;
  if ("f32" in value) return `const ${name} = f32(${float(value.f32)});`;
  if ("i32" in value) {
    if (typeof value.i32 === "number") return `const ${name} = i32(${value.i32});`;
    return `const ${name} = array<i32, ${value.i32.length}>(${value.i32.join(", ")});`;
  }
  return `const ${name} = array<u32, ${value.length}>(${value.map((v) => `${v}u`).join(", ")});`;
}

/** WGSL has no literal for integers beyond i32 without a point, nor for 1e-5 read as an integer. */
function float(value: number): string {
  const text = String(value);
  return /[.e]/.test(text) ? text : `${text}.0`;
}

function withoutBindings(text: string, absent: readonly OperandSpec[]): string {
  if (absent.length === 0) return text;
  const names = absent.map((operand) => operand.name).join("|");
  return text.replace(
    new RegExp(`^@group.*\\bvar<storage[^>]*>\\s+(?:${names})\\s*:.*$`, "gm"),
    "",
  );
}

/**
 * For operand `x`: `alias X` (the array element: 4 channels), `XScalar` and `XVector` (f32 or i32, what
 * one channel and four are in arithmetic), `loadX(i)`, `elementX(i)`, `storeX(i, v)`. `unpackX(v)` is what an
 * element that was read earlier stands for: a thread may keep it packed until then.
 */
function accessors({ name, access }: OperandSpec, type: StorageType | undefined): string {
  const upper = name[0]!.toUpperCase() + name.slice(1);
  if (type === undefined && access === "write") {
    return `fn store${upper}(i: u32, v: vec4<f32>) {}`;
  }
  if (type === undefined) {
    return `fn load${upper}(i: u32) -> vec4<f32> { return vec4<f32>(); }\nfn element${upper}(i: u32) -> f32 { return 0.0; }`;
  }
  const forms = STORAGE[type];
  const scalar = type === "i32" ? "i32" : "f32";
  const lines = [
    `alias ${upper} = ${forms.element};`,
    `alias ${upper}Scalar = ${scalar};`,
    `alias ${upper}Vector = vec4<${scalar}>;`,
  ];
  if (access === "read") lines.push(...forms.read(name, upper));
  else lines.push(forms.write(name, upper));
  return lines.join("\n");
}

/** Halves stay packed in u32 pairs, so that no kernel needs the shader-f16 feature to store them. */
const STORAGE = {
  f32: {
    element: "vec4<f32>",
    read: (name: string, upper: string) => [
      `fn unpack${upper}(v: vec4<f32>) -> vec4<f32> { return v; }`,
      `fn load${upper}(i: u32) -> vec4<f32> { return ${name}[i]; }`,
      `fn element${upper}(i: u32) -> f32 { return ${name}[i >> 2u][i & 3u]; }`,
    ],
    write: (name: string, upper: string) =>
      `fn store${upper}(i: u32, v: vec4<f32>) { ${name}[i] = v; }`,
  },
  f16: {
    element: "vec2<u32>",
    read: (name: string, upper: string) => [
      `fn unpack${upper}(v: vec2<u32>) -> vec4<f32> { return vec4<f32>(unpack2x16float(v.x), unpack2x16float(v.y)); }`,
      `fn load${upper}(i: u32) -> vec4<f32> { return unpack${upper}(${name}[i]); }`,
      `fn element${upper}(i: u32) -> f32 { return unpack2x16float(${name}[i >> 2u][(i >> 1u) & 1u])[i & 1u]; }`,
    ],
    // Beyond ±65504 the conversion's result is indeterminate in WGSL, so finite values are clamped. What is
    // not finite stays so (0x7e00 is NaN), found by its exponent: WGSL may assume there are no NaNs.
    write: (name: string, upper: string) =>
      `fn store${upper}(i: u32, v: vec4<f32>) { let bad = (bitcast<vec4<u32>>(v) & vec4<u32>(0x7f800000u)) == vec4<u32>(0x7f800000u); let c = select(clamp(v, vec4<f32>(-65504.0), vec4<f32>(65504.0)), vec4<f32>(), bad); let nan = select(vec4<u32>(), vec4<u32>(0x7e00u, 0x7e000000u, 0x7e00u, 0x7e000000u), bad); ${name}[i] = vec2<u32>(pack2x16float(c.xy) | nan.x | nan.y, pack2x16float(c.zw) | nan.z | nan.w); }`,
  },
  bf16: {
    element: "vec2<u32>",
    read: (name: string, upper: string) => [
      `fn unpack${upper}(v: vec2<u32>) -> vec4<f32> { return vec4<f32>(bitcast<f32>(v.x << 16u), bitcast<f32>(v.x & 0xffff0000u), bitcast<f32>(v.y << 16u), bitcast<f32>(v.y & 0xffff0000u)); }`,
      `fn load${upper}(i: u32) -> vec4<f32> { return unpack${upper}(${name}[i]); }`,
      `fn element${upper}(i: u32) -> f32 { let v = ${name}[i >> 2u][(i >> 1u) & 1u]; return bitcast<f32>(select(v << 16u, v & 0xffff0000u, (i & 1u) == 1u)); }`,
    ],
    write: () => "",
  },
  i32: {
    element: "vec4<i32>",
    read: (name: string, upper: string) => [
      `fn load${upper}(i: u32) -> vec4<i32> { return ${name}[i]; }`,
      `fn element${upper}(i: u32) -> i32 { return ${name}[i >> 2u][i & 3u]; }`,
    ],
    write: (name: string, upper: string) =>
      `fn store${upper}(i: u32, v: vec4<i32>) { ${name}[i] = v; }`,
  },
} as const;
