// One step of any linear solver: guidance, then next = X·x + KEPT·kept + OUTPUT·m + Σ Hᵢ·slotᵢ + NOISE·noise with
// the step's row of coefficients; what is kept and stored moves on with it. One thread: one pixel (four channels).
// Row: (input scale, x, kept, output), (slot 0..3), (keep?, store into slot or -1, add to the slot?, guidance),
// (noise, x and m as they are stored, -).
@group(0) @binding(0) var<storage, read> state: array<State>;  // [7, B, h, w, 4]: x, kept, slots 0..3, first bad step
@group(0) @binding(1) var<storage, read> m: array<M>;          // [REPEATS·B, h, w, 4]: unconditional half first
@group(0) @binding(2) var<storage, read> table: array<Table>;  // [steps, 16]
@group(0) @binding(3) var<storage, read> step: array<Step>;    // [1]
@group(0) @binding(4) var<storage, read> noise: array<Noise>;  // [B, h, w, 4]; absent where no step draws any
@group(0) @binding(5) var<storage, read_write> y: array<Y>;    // like state

const X = 0u;
const KEPT = 1u;
const SLOTS = 2u;
const BAD = 6u;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let pixel = threadIndex(group, groups, local, WORKGROUP);
  if (pixel >= dims.PLANE) { return; }
  let number = elementStep(0u);
  let row = 4u * u32(number);
  let factors = loadTable(row);
  let history = loadTable(row + 1u);
  let rules = loadTable(row + 2u);
  let others = loadTable(row + 3u);

  var guided = loadM(pixel);
  if (REPEATS == 2u) { guided += rules.w * (loadM(dims.PLANE + pixel) - guided); }
  let x = loadState(pixel);
  let kept = select(loadState(KEPT * dims.PLANE + pixel), x, rules.x > 0.0);
  var next = factors.y * x + factors.z * kept + factors.w * guided;
  // Where no noise is drawn, the buffer may hold anything.
  if (others.x != 0.0) { next += others.x * loadNoise(pixel); }
  let made = others.y * x + others.z * guided;
  for (var i = 0u; i < 4u; i++) {
    let slot = loadState((SLOTS + i) * dims.PLANE + pixel);
    next += history[i] * slot;
    let stored = made + select(vec4<f32>(), slot, rules.z > 0.0);
    storeY((SLOTS + i) * dims.PLANE + pixel, select(slot, stored, i32(rules.y) == i32(i)));
  }
  storeY(X * dims.PLANE + pixel, next);
  storeY(KEPT * dims.PLANE + pixel, kept);

  // WGSL may assume that there are no infinities and NaNs, so ask the exponent's bits.
  let exponent = bitcast<vec4<u32>>(next) & vec4<u32>(0x7f800000u);
  let bad = any(exponent == vec4<u32>(0x7f800000u));
  let first = loadState(BAD * dims.PLANE + pixel).x;
  let since = select(first, f32(number + 1), bad && first == 0.0);
  storeY(BAD * dims.PLANE + pixel, vec4<f32>(since, 0.0, 0.0, 0.0));
}
