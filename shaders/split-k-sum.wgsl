// y[m, n] = act(SCALE · (Σ_s x[s, m, n] + bias[n] + rowBias[…, n])) + residual[m, n]. One thread: four channels.
@group(0) @binding(0) var<storage, read> x: array<X>;                // [SLICES, M, N]
@group(0) @binding(1) var<storage, read> bias: array<Bias>;          // [N]
@group(0) @binding(2) var<storage, read> rowBias: array<RowBias>;    // [M / ROWS_PER_BIAS, N]
@group(0) @binding(3) var<storage, read> residual: array<Residual>;  // [M, N]
@group(0) @binding(4) var<storage, read_write> y: array<Y>;          // [M, N]

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let index = threadIndex(group, groups, local, WORKGROUP);
  if (index >= dims.VECTORS) { return; }
  var sum = loadX(index);
  for (var s = 1u; s < dims.SLICES; s++) { sum += loadX(s * dims.VECTORS + index); }
  let n = index % dims.PITCH;
  storeY(index, keepLanes(epilogue(sum, index / dims.PITCH, n), n, dims.N));
}
