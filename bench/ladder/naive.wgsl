// y = x · w. One thread: four columns of a row, everything out of storage.
@group(0) @binding(0) var<storage, read> x: array<X>;        // [M, K]
@group(0) @binding(1) var<storage, read> w: array<W>;        // [K, N]
@group(0) @binding(2) var<storage, read_write> y: array<Y>;  // [M, N]

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let index = threadIndex(group, groups, local, WORKGROUP);
  if (index >= dims.M * dims.N4) { return; }
  let row = index / dims.N4;
  let column = index % dims.N4;
  var sum: vec4<f32>;
  for (var k = 0u; k < dims.K4; k++) {
    let a = loadX(row * dims.K4 + k);
    for (var j = 0u; j < 4u; j++) { sum += a[j] * loadW((4u * k + j) * dims.N4 + column); }
  }
  storeY(index, sum);
}
