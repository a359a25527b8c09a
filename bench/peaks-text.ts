/** The shaders of `peaks.ts`. They are made here, since the best number of chains is a matter of trial. */

/** y = x, four floats a thread: what the memory gives when it is read and written. */
export const COPY = `
@group(0) @binding(0) var<storage, read>       x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.x + id.y * groups.x * 256;
  if i < arrayLength(&x) { y[i] = x[i]; }
}`;

/** So many chains of a = a·s + t on vectors of four, nothing read in between: what the multipliers give. */
export function multiplyAdds(type: "f32" | "f16", chains: number, rounds: number): string {
  const each = (line: (k: number) => string) =>
    Array.from({ length: chains }, (_, k) => line(k)).join("\n");
  return `${type === "f16" ? "enable f16;" : ""}
@group(0) @binding(0) var<storage, read>       x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let s = vec4<${type}>(${type}(x[0]));
  let t = vec4<${type}>(${type}(x[1]));
  ${each((k) => `var a${k} = vec4<${type}>(${type}(id.x + ${k})) * ${type}(0.001);`)}
  for (var round = 0u; round < ${rounds}; round++) {
    ${each((k) => `a${k} = a${k} * s + t;`)}
  }
  let sum = ${each((k) => `${k === 0 ? "" : "+ "}a${k}`)};
  y[id.x] = f32(sum.x + sum.y + sum.z + sum.w);
}`;
}
