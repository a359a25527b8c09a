// y[b, j, c, h, v] = x[b, h - TOP, v·STRIDE_W + j - LEFT, c], zero outside: a picture as planes of channels, one
// shifted copy for each column j of a convolution's kernel, four neighbouring pixels to a vector.
// One thread: four pixels of four channels.
@group(0) @binding(0) var<storage, read> x: array<X>;        // [B, SOURCE_H, SOURCE_W, C], seen as [B, H, W, C]; pixels PITCH apart from OFFSET
@group(0) @binding(1) var<storage, read_write> y: array<Y>;  // [B, KW, C, HEIGHT, GROUPS·4]

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let index = threadIndex(group, groups, local, WORKGROUP);
  if (index >= dims.THREADS) { return; }
  let v0 = 4u * (index % dims.GROUPS);
  let h = index / dims.GROUPS % dims.HEIGHT;
  let plane = index / (dims.GROUPS * dims.HEIGHT);
  let c = plane % dims.C4;
  let j = plane / dims.C4 % dims.KW;
  let b = plane / (dims.C4 * dims.KW);
  let row = i32(h) - dims.TOP;
  var block: mat4x4<f32>;
  for (var i = 0u; i < 4u; i++) {
    let column = i32((v0 + i) * dims.STRIDE_W + j) - dims.LEFT;
    let inside = row >= 0 && row < i32(dims.H) && column >= 0 && column < i32(dims.W);
    let fromRow = b * dims.SOURCE_H + u32(row) * dims.SOURCE_H / dims.H;
    let pixel = select(0u, fromRow * dims.SOURCE_W + u32(column) * dims.SOURCE_W / dims.W, inside);
    block[i] = select(vec4<f32>(), loadX(dims.OFFSET + pixel * dims.PITCH + c), inside);
  }
  let out = transpose(block);
  for (var i = 0u; i < 4u; i++) {
    let at = ((b * dims.KW + j) * dims.C4 * 4u + 4u * c + i) * dims.HEIGHT + h;
    storeY(at * dims.GROUPS + v0 / 4u, out[i]);
  }
}
