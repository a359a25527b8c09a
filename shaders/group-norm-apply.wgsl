// y[b, r, c] = (x[b, r, c] - mean) / √(var + eps) · weight[c] + bias[c], with the moments of the group of c,
// and silu of that if SILU. One thread: four channels of APPLY_ROWS rows.
@group(0) @binding(0) var<storage, read> x: array<X>;              // [BATCH, ROWS, CHANNELS], or its first SPLIT vec4s
@group(0) @binding(1) var<storage, read> beside: array<Beside>;    // the others, where x is joined of two
@group(0) @binding(2) var<storage, read> moments: array<Moments>;  // [BATCH, GROUPS, 4]: mean, 1 / √(var + eps)
@group(0) @binding(3) var<storage, read> weight: array<Weight>;    // [CHANNELS]
@group(0) @binding(4) var<storage, read> bias: array<Bias>;        // [CHANNELS]
@group(0) @binding(5) var<storage, read_write> y: array<Y>;        // [BATCH, ROWS, CHANNELS]
@group(0) @binding(6) var<storage, read_write> both: array<Both>;  // x as one, where it is joined of two

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let index = threadIndex(group, groups, local, WORKGROUP);
  if (index >= dims.BATCH * dims.BLOCKS * dims.PITCH) { return; }
  let column = index % dims.PITCH;
  let row = index / dims.PITCH % dims.BLOCKS * APPLY_ROWS;
  let batch = index / (dims.PITCH * dims.BLOCKS);
  var mean: vec4<f32>;
  var factor: vec4<f32>;
  for (var lane = 0u; lane < 4u; lane++) {
    // Lanes beyond the last channel are cleared below.
    let channel = min(4u * column + lane, dims.CHANNELS - 1u);
    let moment = loadMoments(batch * dims.GROUPS + channel / dims.GROUP);
    mean[lane] = moment.x;
    factor[lane] = moment.y;
  }
  let scale = factor * select(vec4<f32>(1.0), loadWeight(column), WEIGHTED);
  let offset = loadBias(column);
  for (var r = row; r < min(row + APPLY_ROWS, dims.ROWS); r++) {
    let at = (batch * dims.ROWS + r) * dims.PITCH + column;
    let value = loadJoined(batch * dims.ROWS + r, column);
    var v = (value - mean) * scale + offset;
    if (SILU) { v = silu4(v); }
    storeY(at, keepLanes(v, column, dims.CHANNELS));
    storeBoth(at, value);
  }
}
