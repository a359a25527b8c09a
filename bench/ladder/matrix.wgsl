// y = x · w on matrix units, with nothing loaded ahead: what shaders/matrix-gemm.wgsl is without its prefetch. One
// workgroup: a tile of y (lib/matrix-tile).
@group(0) @binding(0) var<storage, read> x: array<X>;        // [M, K], in eights
@group(0) @binding(1) var<storage, read> w: array<W>;        // [K, N] in fragments, in eights
@group(0) @binding(2) var<storage, read_write> y: array<Y>;  // [M, N]

@compute @workgroup_size(THREADS)
@subgroup_size(SUBGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let place = placeOf(group.y * groups.x + group.x, local);
  let left = Left(place.m + pieceRow(0u, local));
  let row = place.row * DOWN * UNIT_M * STRIDE;
  var columns: array<u32, ACROSS>;
  for (var c = 0u; c < ACROSS; c++) { columns[c] = weightFragment(place, c) * dims.W_ACROSS; }
  var sums: Sums;
  for (var p = 0u; p < dims.PANELS; p++) {
    storePieces(loadPieces(left, p, local), local);
    // Protects the panel: it is whole.
    workgroupBarrier();
    for (var step = 0u; step < STEPS; step++) {
      let right = loadRights(columns, (p * STEPS + step) * dims.W_DOWN);
      for (var r = 0u; r < DOWN; r++) {
        let a = leftAt(row + r * UNIT_M * STRIDE + step * (UNIT_K / 8), STRIDE);
        for (var c = 0u; c < ACROSS; c++) { sums[r][c] = subgroupMatrixMultiplyAccumulate(a, right[c], sums[r][c]); }
      }
    }
    // Protects the panel, which is read until here.
    workgroupBarrier();
  }
  finishAll(sums, place, local);
}

// The first row that a thread brings.
struct Left { row: u32 }

fn loadLeft(left: Left, panel: u32, i: u32, column: u32) -> vec4<u32> {
  return x[min(left.row + i * ROWS_AT_ONCE, dims.M - 1u) * dims.X_PITCH + panel * PANEL_EIGHTS + column];
}

fn weightFragment(place: Place, c: u32) -> u32 {
  return min((place.tile * SUBGROUP_COLUMNS + place.column) * ACROSS + c, dims.FRAGMENTS - 1u);
}

fn finish(at: u32, place: Place, m: u32, column: u32) {
  let n = (place.tile * SUBGROUP_COLUMNS + place.column) * (ACROSS * UNIT_N / 4) + column;
  if (n < dims.PITCH) { storeY(m * dims.PITCH + n, readSums(at)); }
}
