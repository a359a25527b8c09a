// The sums of gemm and conv2d on a picture laid out in planes (see planes.wgsl), for software adapters, where
// a load costs more than arithmetic: y[m, n] = epilogue(Σ_{i, j, c} x[j, c, row(m)·SH + i, column(m)] · w[i, j, c, n]).
// One thread: two groups of four neighbouring pixels, and four vec4 columns.
@group(0) @binding(0) var<storage, read> x: array<X>;                // [B, KW, C, PLANE] in groups of four pixels
@group(0) @binding(1) var<storage, read> w: array<W>;                // [B, KH, KW, C, N]
@group(0) @binding(2) var<storage, read> bias: array<Bias>;          // [N]
@group(0) @binding(3) var<storage, read> rowBias: array<RowBias>;    // [.., N]
@group(0) @binding(4) var<storage, read> residual: array<Residual>;  // [B, M, N]
@group(0) @binding(5) var<storage, read_write> y: array<Y>;          // [B, M, N]

const WIDTH = 8u;

@compute @workgroup_size(WIDTH)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let n = group.y * WIDTH + local;
  let g0 = 2u * group.x;
  // No thread leaves early: where all of a subgroup are at work, lavapipe loads what they share (x) once.
  let g1 = min(g0 + 1u, dims.GROUPS - 1u);
  let from0 = g0 / dims.W4 * dims.STEP + g0 % dims.W4;
  let from1 = g1 / dims.W4 * dims.STEP + g1 % dims.W4;
  // Columns beyond the last are computed like the last, and not stored.
  let last = dims.COLUMNS - 1u;
  let n0 = min(columnOf(n, 0u), last);
  let n1 = min(columnOf(n, 1u), last);
  let n2 = min(columnOf(n, 2u), last);
  let n3 = min(columnOf(n, 3u), last);

  var s0: mat4x4<f32>; var s1: mat4x4<f32>; var s2: mat4x4<f32>; var s3: mat4x4<f32>;
  var t0: mat4x4<f32>; var t1: mat4x4<f32>; var t2: mat4x4<f32>; var t3: mat4x4<f32>;
  var at = group.z * dims.W_BATCH;
  for (var i = 0u; i < dims.KH; i++) {
    var source = group.z * dims.X_BATCH + i * dims.W4;
    for (var k = 0u; k < dims.K; k++) {
      let x0 = loadX(source + from0);
      let x1 = loadX(source + from1);
      let w0 = loadW(at + n0);
      let w1 = loadW(at + n1);
      let w2 = loadW(at + n2);
      let w3 = loadW(at + n3);
      s0 += outer(x0, w0); s1 += outer(x0, w1); s2 += outer(x0, w2); s3 += outer(x0, w3);
      t0 += outer(x1, w0); t1 += outer(x1, w1); t2 += outer(x1, w2); t3 += outer(x1, w3);
      source += dims.PLANE;
      at += dims.COLUMNS;
    }
  }
  // The loop's end is not a constant, so that no compiler unrolls it: the epilogue is long.
  var sums = array<mat4x4<f32>, 8>(s0, s1, s2, s3, t0, t1, t2, t3);
  for (var i = 0u; i < dims.STORES; i++) {
    let side = i / 16u;
    let pixel = i / 4u % 4u;
    let part = i % 4u;
    let g = g0 + side;
    let column = g % dims.W4 * 4u + pixel;
    if (g >= dims.GROUPS || column >= dims.OUT_W) { continue; }
    let m = g / dims.W4 * dims.OUT_W + column;
    let row = group.z * dims.M + m;
    let own = columnOf(n, part);
    if (GATED) {
      if (part >= 2u || own >= dims.COLUMNS / 2u) { continue; }
      let value = sums[4u * side + part][pixel] + loadBias(own);
      let gate = sums[4u * side + part + 2u][pixel] + loadBias(own + dims.COLUMNS / 2u);
      storeY(row * dims.PITCH + own, value * gelu4(gate));
    } else if (own < dims.COLUMNS) {
      storeY(row * dims.PITCH + own, keepLanes(epilogue(sums[4u * side + part][pixel], row, own), own, dims.N));
    }
  }
}

// The vec4 columns of thread n: four neighbours, or two of the values and the two of their gates.
fn columnOf(n: u32, part: u32) -> u32 {
  if (GATED) { return 2u * n + part % 2u + part / 2u * (dims.COLUMNS / 2u); }
  return 4u * n + part;
}

// Column p is x[p]·w: the share of one pixel.
fn outer(x: vec4<f32>, w: vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(x.x * w, x.y * w, x.z * w, x.w * w);
}
