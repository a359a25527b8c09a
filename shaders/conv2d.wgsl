// y[b, p, q, o] = act(Σ_{i, j, c} x[b, p·SH + i - TOP, q·SW + j - LEFT, c] · w[i, j, c, o] + bias[o] + …) + residual:
// a matrix product whose left side is gathered on the fly (implicit GEMM). Zeros outside the picture.
// One thread: ROWS neighbouring pixels of two vec4 columns, HALF apart.
@group(0) @binding(0) var<storage, read> x: array<X>;                // [B, SOURCE_H, SOURCE_W, I], seen as [B, IN_H, IN_W, I]
@group(0) @binding(1) var<storage, read> w: array<W>;                // [KH, KW, I, O]
@group(0) @binding(2) var<storage, read> bias: array<Bias>;          // [O]
@group(0) @binding(3) var<storage, read> rowBias: array<RowBias>;    // [B, O]
@group(0) @binding(4) var<storage, read> residual: array<Residual>;  // [B, P, Q, O]
@group(0) @binding(5) var<storage, read_write> y: array<Y>;          // [B, P, Q, O]

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let m0 = (group.z * MAX_GROUPS + group.y) * ROWS;
  let n = group.x * WIDTH + local;
  if (n >= dims.HALF || m0 >= dims.M) { return; }
  let n2 = n + dims.HALF;
  var left: array<vec4<f32>, ROWS>;
  var right: array<vec4<f32>, ROWS>;
  var at = n;
  for (var i = 0u; i < dims.KH; i++) {
    for (var j = 0u; j < dims.KW; j++) {
      var source: array<u32, ROWS>;
      var inside: array<bool, ROWS>;
      for (var r = 0u; r < ROWS; r++) {
        let m = min(m0 + r, dims.M - 1u);
        let h = i32(m / dims.OUT_W % dims.OUT_H * dims.STRIDE_H + i) - dims.TOP;
        let v = i32(m % dims.OUT_W * dims.STRIDE_W + j) - dims.LEFT;
        inside[r] = h >= 0 && h < dims.IN_H && v >= 0 && v < dims.IN_W;
        let image = m / (dims.OUT_W * dims.OUT_H) * dims.SOURCE_H * dims.SOURCE_W;
        let row = u32(h) * dims.SOURCE_H / u32(dims.IN_H);
        let column = u32(v) * dims.SOURCE_W / u32(dims.IN_W);
        source[r] = (image + select(0u, row * dims.SOURCE_W + column, inside[r])) * dims.I4;
      }
      for (var c = 0u; c < dims.I4; c++) {
        let a0 = loadW(at);
        let a1 = loadW(at + dims.PITCH);
        let a2 = loadW(at + 2u * dims.PITCH);
        let a3 = loadW(at + 3u * dims.PITCH);
        let b0 = loadW(at + dims.HALF);
        let b1 = loadW(at + dims.HALF + dims.PITCH);
        let b2 = loadW(at + dims.HALF + 2u * dims.PITCH);
        let b3 = loadW(at + dims.HALF + 3u * dims.PITCH);
        for (var r = 0u; r < ROWS; r++) {
          let v = select(vec4<f32>(), loadX(source[r] + c), inside[r]);
          left[r] += v.x * a0 + v.y * a1 + v.z * a2 + v.w * a3;
          right[r] += v.x * b0 + v.y * b1 + v.z * b2 + v.w * b3;
        }
        at += 4u * dims.PITCH;
      }
    }
  }
  for (var r = 0u; r < ROWS; r++) {
    let m = m0 + r;
    if (m >= dims.M) { return; }
    storeY(m * dims.PITCH + n, keepLanes(epilogue(left[r], m, n), n, dims.O));
    if (n2 < dims.PITCH) { storeY(m * dims.PITCH + n2, keepLanes(epilogue(right[r], m, n2), n2, dims.O)); }
  }
}
