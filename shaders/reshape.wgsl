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
  if (index >= VECTORS) { return; }
  let row = index / TO_PITCH;
  let column = index % TO_PITCH;
  var v = YVector();
  for (var lane = 0u; lane < 4u; lane++) {
    let channel = 4u * column + lane;
    if (channel < TO) {
      let j = row * TO + channel;
      v[lane] = YScalar(elementX((j / FROM) * FROM_STRIDE + j % FROM));
    }
  }
  storeY(index, v);
}
