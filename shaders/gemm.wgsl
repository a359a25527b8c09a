// y[b, m, n] = act(Σ_k x[b, m, k] · w[b, k, n] + bias[n] + rowBias[…, n]) + residual[b, m, n], or, GATED,
// y[m, n] = value · gelu(gate) with value and gate the two halves of that sum (Shazeer 2020, GEGLU).
// One thread: ROWS rows of two vec4 columns, HALF apart.
@group(0) @binding(0) var<storage, read> x: array<X>;                // [batch, M, K]
@group(0) @binding(1) var<storage, read> w: array<W>;                // [batch, K, N]
@group(0) @binding(2) var<storage, read> bias: array<Bias>;          // [N]
@group(0) @binding(3) var<storage, read> rowBias: array<RowBias>;    // [M / ROWS_PER_BIAS, N]
@group(0) @binding(4) var<storage, read> residual: array<Residual>;  // [batch, M, N]
@group(0) @binding(5) var<storage, read_write> y: array<Y>;          // [batch, M, N]

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let batch = group.z / dims.FOLDS;
  let m0 = (group.z % dims.FOLDS * MAX_GROUPS + group.y) * ROWS;
  let n = group.x * WIDTH + local;
  if (n >= dims.HALF || m0 >= dims.M) { return; }
  let n2 = n + dims.HALF;
  var left: array<vec4<f32>, ROWS>;
  var right: array<vec4<f32>, ROWS>;
  var at = batch * dims.W_BATCH + n;
  let x0 = batch * dims.X_BATCH + dims.X_OFFSET;
  for (var k = 0u; k < dims.K4; k++) {
    let a0 = loadW(at);
    let a1 = loadW(at + dims.W_PITCH);
    let a2 = loadW(at + 2u * dims.W_PITCH);
    let a3 = loadW(at + 3u * dims.W_PITCH);
    let b0 = loadW(at + dims.HALF);
    let b1 = loadW(at + dims.HALF + dims.W_PITCH);
    let b2 = loadW(at + dims.HALF + 2u * dims.W_PITCH);
    let b3 = loadW(at + dims.HALF + 3u * dims.W_PITCH);
    for (var r = 0u; r < ROWS; r++) {
      let v = loadX(x0 + min(m0 + r, dims.M - 1u) * dims.X_PITCH + k);
      left[r] += v.x * a0 + v.y * a1 + v.z * a2 + v.w * a3;
      right[r] += v.x * b0 + v.y * b1 + v.z * b2 + v.w * b3;
    }
    at += 4u * dims.W_PITCH;
  }
  for (var r = 0u; r < ROWS; r++) {
    let m = m0 + r;
    if (m >= dims.M) { return; }
    if (GATED) {
      let value = left[r] + loadBias(n);
      let gate = right[r] + loadBias(n2);
      storeY(m * dims.PITCH + n, value * gelu4(gate));
    } else {
      let row = batch * dims.M + m;
      storeY(row * dims.PITCH + n, keepLanes(epilogue(left[r], row, n), n, dims.N));
      if (n2 < dims.PITCH) { storeY(row * dims.PITCH + n2, keepLanes(epilogue(right[r], row, n2), n2, dims.N)); }
    }
  }
}
