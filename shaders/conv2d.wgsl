// y[b, p, q, o] = act(Σ_{i, j, c} x[b, p·SH + i - TOP, q·SW + j - LEFT, c] · w[i, j, c, o] + bias[o] + …) + residual:
// a matrix product whose left side is gathered on the fly (implicit GEMM). Zeros outside the picture.
// One workgroup: a tile of y, or of one slice of the sum (lib/tile); its rows are pixels.
@group(0) @binding(0) var<storage, read> x: array<X>;                // [B, SOURCE_H, SOURCE_W, I], seen as [B, IN_H, IN_W, I]
@group(0) @binding(1) var<storage, read> w: array<W>;                // [KH, KW, I, O]
@group(0) @binding(2) var<storage, read> bias: array<Bias>;          // [O]
@group(0) @binding(3) var<storage, read> rowBias: array<RowBias>;    // [B, O]
@group(0) @binding(4) var<storage, read> residual: array<Residual>;  // [B, P, Q, O]
@group(0) @binding(5) var<storage, read_write> y: array<Y>;          // [SLICES, B, P, Q, O]

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let place = placeOf(group.y * groups.x + group.x);
  let column = min(place.tile * TILE_COLUMNS + local % TILE_COLUMNS, dims.PITCH - 1u);
  let w0 = place.slice * 4u * dims.K4 * dims.W_PITCH + column;
  let sums = product(leftOf(leftRows(place.m, local), place.slice * dims.K4), w0, local);
  if (place.spare) { return; }
  for (var r = 0u; r < 4u * QUADS; r++) {
    let m = place.m + 4u * (r / 4u * THREAD_ROWS + local / THREAD_COLUMNS) + r % 4u;
    if (m >= dims.M) { continue; }
    let row = place.slice * dims.M + m;
    for (var c = 0u; c < COLUMNS; c++) {
      let n = place.tile * TILE_COLUMNS + c * THREAD_COLUMNS + local % THREAD_COLUMNS;
      if (n < dims.PITCH) { storeY(row * dims.PITCH + n, keepLanes(epilogue(sums[r][c], row, n), n, dims.O)); }
    }
  }
}

// Of four pixels of y.
struct Left {
  first: u32,          // vec4s of the sum in the slices before
  picture: vec4<u32>,  // the first pixel in x of their pictures
  h: vec4<i32>,        // where the first tap looks
  v: vec4<i32>,
}

fn leftOf(m: vec4<u32>, first: u32) -> Left {
  let picture = m / (dims.OUT_H * dims.OUT_W) * (dims.SOURCE_H * dims.SOURCE_W);
  let h = m / dims.OUT_W % dims.OUT_H * dims.STRIDE_H;
  let v = m % dims.OUT_W * dims.STRIDE_W;
  return Left(first, picture, vec4<i32>(h) - dims.TOP, vec4<i32>(v) - dims.LEFT);
}

fn loadLeft(left: Left, k: u32, lane: u32) -> Block {
  let at = left.first + k + lane;
  // Where a panel lies within one tap, all threads know it at once.
  let tap = select(at, left.first + k, dims.I4 % DEPTH == 0u) / dims.I4;
  // What lies above or left of the picture is beyond its end as an unsigned number.
  let h = vec4<u32>(left.h + i32(tap / dims.KW));
  let v = vec4<u32>(left.v + i32(tap % dims.KW));
  let counts = vec4<bool>(dims.K4 % DEPTH == 0u || k + lane < dims.K4);
  let inside = (h < vec4<u32>(dims.IN_H)) & (v < vec4<u32>(dims.IN_W)) & counts;
  let pixel = select(vec4<u32>(), sourcePixel(left, h, v), inside);
  let source = pixel * dims.I4 + (at - tap * dims.I4);
  return Block(array<X, 4>(x[source.x], x[source.y], x[source.z], x[source.w]), inside);
}

fn sourcePixel(left: Left, h: vec4<u32>, v: vec4<u32>) -> vec4<u32> {
  var row = h;
  var column = v;
  if (dims.IN_H != dims.SOURCE_H) { row = h * dims.SOURCE_H / dims.IN_H; }
  if (dims.IN_W != dims.SOURCE_W) { column = v * dims.SOURCE_W / dims.IN_W; }
  return left.picture + row * dims.SOURCE_W + column;
}
