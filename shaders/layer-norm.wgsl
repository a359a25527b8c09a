// y[r, c] = (x[r, c] - mean) / √(var + EPS) · weight[c] + bias[c], mean and var over the row. LANES threads
// a row, each every LANES-th vec4 of it. The variance is taken around the mean in a second pass: a row far
// from zero loses no digits.
@group(0) @binding(0) var<storage, read> x: array<X>;            // [ROWS, CHANNELS]
@group(0) @binding(1) var<storage, read> weight: array<Weight>;  // [CHANNELS]
@group(0) @binding(2) var<storage, read> bias: array<Bias>;      // [CHANNELS]
@group(0) @binding(3) var<storage, read_write> y: array<Y>;      // [ROWS, CHANNELS]

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let row = threadIndex(group, groups, local, WORKGROUP) / LANES;
  let start = min(row, dims.ROWS - 1u) * dims.PITCH;
  let lane = local % LANES;
  // Sums are taken around the row's first value, so that they stay small next to it.
  let shift = loadX(start).x;
  var sum = vec4<f32>();
  for (var column = lane; column < dims.PITCH; column += LANES) {
    sum += keepLanes(loadX(start + column) - shift, column, dims.CHANNELS);
  }
  let mean = shift + rowSum(local, (sum.x + sum.y) + (sum.z + sum.w)) / f32(dims.CHANNELS);
  var squares = vec4<f32>();
  for (var column = lane; column < dims.PITCH; column += LANES) {
    let centred = keepLanes(loadX(start + column) - mean, column, dims.CHANNELS);
    squares += centred * centred;
  }
  let variance = rowSum(local, (squares.x + squares.y) + (squares.z + squares.w)) / f32(dims.CHANNELS);
  if (row >= dims.ROWS) { return; }
  let factor = 1.0 / sqrt(variance + dims.EPS);
  for (var column = lane; column < dims.PITCH; column += LANES) {
    let scale = factor * select(vec4<f32>(1.0), loadWeight(column), WEIGHTED);
    let v = (loadX(start + column) - mean) * scale + loadBias(column);
    storeY(start + column, keepLanes(v, column, dims.CHANNELS));
  }
}
