// y[b, p, q, o] = act(Σ_{i, j, c} x[b, p·SH + i - TOP, q·SW + j - LEFT, c] · w[i, j, c, o] + bias[o] + …) + residual
// on matrix units: a matrix product whose left side is gathered on the fly (implicit GEMM). Zeros outside the picture.
// The sum goes over blocks of PANEL channels, and within a block over the taps, so that neighbouring panels read the
// same lines. One workgroup: a tile of y, or of one slice of the sum (lib/matrix-tile); its rows are pixels.
@group(0) @binding(0) var<storage, read> x: array<X>;                // [B, SOURCE_H, SOURCE_W, I], seen as [B, IN_H, IN_W, I], in eights
@group(0) @binding(1) var<storage, read> w: array<W>;                // [I / PANEL, KH, KW, PANEL, O] in fragments
@group(0) @binding(2) var<storage, read> bias: array<Bias>;          // [O]
@group(0) @binding(3) var<storage, read> rowBias: array<RowBias>;    // [B, O]
@group(0) @binding(4) var<storage, read> residual: array<Residual>;  // [B, P, Q, O]
@group(0) @binding(5) var<storage, read_write> y: array<Y>;          // [SLICES, B, P, Q, O]

@compute @workgroup_size(THREADS)
@subgroup_size(SUBGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let place = placeOf(group.y * groups.x + group.x, local);
  let sums = product(leftOf(place, local), place, place.slice * dims.PANELS, 0u, local);
  finishAll(sums, place, local);
}

// Of the pixels of y that this thread brings.
struct Left {
  picture: array<u32, PIECES>,  // the first pixel in x of their pictures
  h: array<i32, PIECES>,        // where the first tap looks
  v: array<i32, PIECES>,
}

fn leftOf(place: Place, local: u32) -> Left {
  var left: Left;
  for (var i = 0u; i < PIECES; i++) {
    let m = min(place.m + pieceRow(i, local), dims.M - 1u);
    left.picture[i] = m / (dims.OUT_H * dims.OUT_W) * (dims.SOURCE_H * dims.SOURCE_W);
    left.h[i] = i32(m / dims.OUT_W % dims.OUT_H * dims.STRIDE_H) - dims.TOP;
    left.v[i] = i32(m % dims.OUT_W * dims.STRIDE_W) - dims.LEFT;
  }
  return left;
}

fn loadLeft(left: Left, panel: u32, i: u32, column: u32) -> vec4<u32> {
  let tap = panel % (dims.KH * dims.KW);
  let c = panel / (dims.KH * dims.KW) * PANEL_EIGHTS + column;
  // What lies above or left of the picture is beyond its end as an unsigned number.
  let h = u32(left.h[i] + i32(tap / dims.KW));
  let v = u32(left.v[i] + i32(tap % dims.KW));
  let counts = dims.I8 % PANEL_EIGHTS == 0u || c < dims.I8;
  let inside = h < dims.IN_H && v < dims.IN_W && counts;
  let source = sourcePixel(left.picture[i], h, v) * dims.I8 + c;
  return select(vec4<u32>(), x[select(0u, source, inside)], inside);
}

fn sourcePixel(picture: u32, h: u32, v: u32) -> u32 {
  var row = h;
  var column = v;
  if (dims.IN_H != dims.SOURCE_H) { row = h * dims.SOURCE_H / dims.IN_H; }
  if (dims.IN_W != dims.SOURCE_W) { column = v * dims.SOURCE_W / dims.IN_W; }
  return picture + row * dims.SOURCE_W + column;
}

fn firstFragment(place: Place) -> u32 { return (place.tile * SUBGROUP_COLUMNS + place.column) * ACROSS; }

fn weightFragment(place: Place, c: u32) -> u32 { return min(firstFragment(place) + c, dims.FRAGMENTS - 1u); }

fn finish(at: u32, place: Place, m: u32, column: u32) {
  let n = firstFragment(place) * (UNIT_N / 4) + column;
  if (n >= dims.PITCH) { return; }
  let row = place.slice * dims.M + m;
  storeY(row * dims.PITCH + n, keepLanes(epilogue(readSums(at), row, n), n, dims.O));
}
