// y = x · w. One workgroup: 16 rows of 64 columns; 16 terms of both sides lie in workgroup memory. One thread: four
// columns of a row. Sizes are multiples of the tile.
@group(0) @binding(0) var<storage, read> x: array<X>;        // [M, K]
@group(0) @binding(1) var<storage, read> w: array<W>;        // [K, N]
@group(0) @binding(2) var<storage, read_write> y: array<Y>;  // [M, N]

var<workgroup> left: array<vec4<f32>, 64>;    // [16, 4]
var<workgroup> right: array<vec4<f32>, 256>;  // [16, 16]

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  let local = index % 256u;
  let row = local / 16u;
  let column = group.x * 16u + local % 16u;
  var sum: vec4<f32>;
  for (var k = 0u; k < dims.K4; k += 4u) {
    if (local < 64u) { left[local] = loadX((group.y * 16u + local / 4u) * dims.K4 + k + local % 4u); }
    right[local] = loadW((4u * k + row) * dims.N4 + column);
    // Protects both panels: they are whole.
    workgroupBarrier();
    for (var i = 0u; i < 4u; i++) {
      let a = left[row * 4u + i];
      for (var j = 0u; j < 4u; j++) { sum += a[j] * right[(4u * i + j) * 16u + local % 16u]; }
    }
    // Protects both panels, which are read until here.
    workgroupBarrier();
  }
  storeY((group.y * 16u + row) * dims.N4 + column, sum);
}
