// y[r, c] = exp(x[r, c] - m) / Σ_k exp(x[r, k] - m), m = max_k x[r, k]. LANES threads a row, each every
// LANES-th vec4 of it. The exponentials are computed twice: that is cheaper than storing them.
@group(0) @binding(0) var<storage, read> x: array<X>;        // [ROWS, CHANNELS]
@group(0) @binding(1) var<storage, read_write> y: array<Y>;  // [ROWS, CHANNELS]

const LOWEST = vec4<f32>(-3.4028234e38);

// exp underflows to 0 below -104; the bound keeps the difference of two huge numbers finite.
fn exponential(v: vec4<f32>, m: f32) -> vec4<f32> {
  return exp(max(max(v, LOWEST) * 0.5 - 0.5 * m, vec4<f32>(-60.0)) * 2.0);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let row = threadIndex(group, groups, local, WORKGROUP) / LANES;
  let start = min(row, dims.ROWS - 1u) * dims.PITCH;
  let lane = local % LANES;
  var top = LOWEST;
  for (var column = lane; column < dims.PITCH; column += LANES) {
    top = max(top, select(LOWEST, loadX(start + column), insideLanes(column, dims.CHANNELS)));
  }
  let m = rowMax(local, max(max(top.x, top.y), max(top.z, top.w)));
  var sum = vec4<f32>();
  for (var column = lane; column < dims.PITCH; column += LANES) {
    sum += keepLanes(exponential(loadX(start + column), m), column, dims.CHANNELS);
  }
  let total = rowSum(local, (sum.x + sum.y) + (sum.z + sum.w));
  if (row >= dims.ROWS) { return; }
  for (var column = lane; column < dims.PITCH; column += LANES) {
    let share = exponential(loadX(start + column), m) / total;
    storeY(start + column, keepLanes(share, column, dims.CHANNELS));
  }
}
