// y = x · w. One thread: eight rows of four columns; the lanes of a subgroup (at least eight) bring a row each and pass
// it round. Sizes are multiples of 8 rows and 256 columns.
@group(0) @binding(0) var<storage, read> x: array<X>;        // [M, K]
@group(0) @binding(1) var<storage, read> w: array<W>;        // [K, N]
@group(0) @binding(2) var<storage, read_write> y: array<Y>;  // [M, N]

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let column = group.x * 64u + local;
  let own = (group.y * 8u + lane % 8u) * dims.K4;
  var sums: array<vec4<f32>, 8>;
  for (var k = 0u; k < dims.K4; k++) {
    let a = loadX(own + k);
    var b: array<vec4<f32>, 4>;
    for (var j = 0u; j < 4u; j++) { b[j] = loadW((4u * k + j) * dims.N4 + column); }
    for (var r = 0u; r < 8u; r++) {
      let passed = subgroupShuffle(a, r);
      for (var j = 0u; j < 4u; j++) { sums[r] += passed[j] * b[j]; }
    }
  }
  for (var r = 0u; r < 8u; r++) { storeY((group.y * 8u + r) * dims.N4 + column, sums[r]); }
}
