// y[r, 0] = Σ_c x[r, c] / CHANNELS. LANES threads a row, each every LANES-th vec4 of it.
@group(0) @binding(0) var<storage, read> x: array<X>;        // [ROWS, CHANNELS]
@group(0) @binding(1) var<storage, read_write> y: array<Y>;  // [ROWS, 1]

// Sums of this many, and then their sum: errors grow with the root of the root of the count.
const BLOCK = 16u;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let row = threadIndex(group, groups, local, WORKGROUP) / LANES;
  let start = min(row, dims.ROWS - 1u) * dims.PITCH;
  var sum = vec4<f32>();
  for (var column0 = local % LANES; column0 < dims.PITCH; column0 += BLOCK * LANES) {
    var part = vec4<f32>();
    let end = min(column0 + BLOCK * LANES, dims.PITCH);
    for (var column = column0; column < end; column += LANES) { part += loadX(start + column); }
    sum += part;
  }
  let total = rowSum(local, (sum.x + sum.y) + (sum.z + sum.w));
  if (row < dims.ROWS && local % LANES == 0u) {
    storeY(row, vec4<f32>(total / f32(dims.CHANNELS), 0.0, 0.0, 0.0));
  }
}
