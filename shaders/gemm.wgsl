// y[b, m, n] = act(Σ_k x[b, m, k] · w[b, k, n] + bias[n] + rowBias[…, n]) + residual[b, m, n], or, GATED,
// y[m, n] = value · gelu(gate) with value and gate the two halves of that sum (Shazeer 2020, GEGLU). NORMED, the rows of x
// count as (x - mean) / √(var + NORM_EPS), and MEASURED, those of y leave their moments (lib/row-moments).
// One workgroup: a tile of y (lib/tile); of GATED sums a thread's two columns are a value and its gate.
@group(0) @binding(0) var<storage, read> x: array<X>;                // [batch, M, K]
@group(0) @binding(1) var<storage, read> w: array<W>;                // [batch, K, N]
@group(0) @binding(2) var<storage, read> bias: array<Bias>;          // [N], NORMED [2, N]: then the sums of w's columns
@group(0) @binding(3) var<storage, read> rowBias: array<RowBias>;    // [M / ROWS_PER_BIAS, N]
@group(0) @binding(4) var<storage, read> residual: array<Residual>;  // [batch, M, N]
@group(0) @binding(5) var<storage, read> moments: array<Moments>;    // [NORM_PIECES, M / 4, 2, 4], of x
@group(0) @binding(6) var<storage, read_write> y: array<Y>;          // [batch, M, N]
@group(0) @binding(7) var<storage, read_write> rowMoments: array<RowMoments>;  // [COLUMN_TILES, M / 4, 2, 4], of y

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let place = placeOf(group.y * groups.x + group.x);
  let left = Left(place.slice * dims.X_BATCH + dims.X_OFFSET + leftRows(place.m, local) * dims.X_PITCH);
  findNorms(place.m, local, groups.z);
  var sums = product(left, place.slice * dims.W_BATCH + weightColumn(place.tile, local % TILE_COLUMNS), local);
  if (place.spare) { return; }
  for (var r = 0u; r < 4u * QUADS; r++) {
    let quad = r / 4u * THREAD_ROWS + local / THREAD_COLUMNS;
    for (var c = 0u; c < COLUMNS; c++) {
      let n = weightColumn(place.tile, c * THREAD_COLUMNS + local % THREAD_COLUMNS);
      sums[r][c] = normalized(sums[r][c], n, quad, r % 4u);
    }
    let m = place.m + 4u * quad + r % 4u;
    if (m < dims.M) { sums[r] = storeRow(sums[r], place, m, local % THREAD_COLUMNS); }
  }
  if (MEASURED) { measure(&sums, place, local); }
}

// Offset of each row's first vec4.
struct Left { rows: vec4<u32> }

fn loadLeft(left: Left, k: u32, lane: u32) -> Block {
  let inside = dims.K4 % DEPTH == 0u || k + lane < dims.K4;
  let at = left.rows + select(0u, k + lane, inside);
  return Block(array<X, 4>(x[at.x], x[at.y], x[at.z], x[at.w]), vec4<bool>(inside));
}

fn weightColumn(tile: u32, column: u32) -> u32 {
  if (!GATED) { return min(tile * TILE_COLUMNS + column, dims.W_PITCH - 1u); }
  let value = min(tile * THREAD_COLUMNS + column % THREAD_COLUMNS, dims.PITCH - 1u);
  return select(value, value + dims.PITCH, column >= THREAD_COLUMNS);
}

// What was stored, zeros where there is nothing to store.
fn storeRow(sums: array<vec4<f32>, COLUMNS>, place: Place, m: u32, column: u32) -> array<vec4<f32>, COLUMNS> {
  let row = place.slice * dims.M + m;
  var values: array<vec4<f32>, COLUMNS>;
  if (GATED) {
    let n = place.tile * THREAD_COLUMNS + column;
    if (n >= dims.PITCH) { return values; }
    let gate = sums[COLUMNS - 1] + loadBias(n + dims.PITCH);
    storeY(row * dims.PITCH + n, (sums[0] + loadBias(n)) * gelu4(gate));
  } else {
    for (var c = 0u; c < COLUMNS; c++) {
      let n = place.tile * TILE_COLUMNS + c * THREAD_COLUMNS + column;
      if (n < dims.PITCH) {
        values[c] = keepLanes(epilogue(sums[c], row, n), n, dims.N);
        storeY(row * dims.PITCH + n, values[c]);
      }
    }
  }
  return values;
}
