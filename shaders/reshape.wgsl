// y[j] = x[j] in row-major order, where both have rows of channels padded to fours. One thread: four channels.
@group(0) @binding(0) var<storage, read> x: array<X>;        // [.., FROM]
@group(0) @binding(1) var<storage, read_write> y: array<Y>;  // [.., TO]

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let index = threadIndex(group, groups, local, WORKGROUP);
  if (index >= dims.VECTORS) { return; }
  let row = index / dims.TO_PITCH;
  let column = index % dims.TO_PITCH;
  var v = YVector();
  for (var lane = 0u; lane < 4u; lane++) {
    let channel = 4u * column + lane;
    if (channel < dims.TO) {
      let j = row * dims.TO + channel;
      v[lane] = YScalar(elementX((j / dims.FROM) * dims.FROM_STRIDE + j % dims.FROM));
    }
  }
  storeY(index, v);
}
