// y[b, m, n] = act(Σ_k x[b, m, k] · w[b, k, n] + bias[n] + rowBias[…, n]) + residual[b, m, n], or, GATED,
// y[m, n] = value · gelu(gate) with value and gate the two halves of that sum, on matrix units.
// One workgroup: a tile of y (lib/matrix-tile); of GATED sums the second half of a subgroup's fragments are the gates
// of the first.
@group(0) @binding(0) var<storage, read> x: array<X>;                // [batch, M, K], in eights
@group(0) @binding(1) var<storage, read> w: array<W>;                // [batch, K, N] in fragments, or in rows, in eights
@group(0) @binding(2) var<storage, read> bias: array<Bias>;          // [N]
@group(0) @binding(3) var<storage, read> rowBias: array<RowBias>;    // [M / ROWS_PER_BIAS, N]
@group(0) @binding(4) var<storage, read> residual: array<Residual>;  // [batch, M, N]
@group(0) @binding(5) var<storage, read_write> y: array<Y>;          // [batch, M, N]

const OWN = select(ACROSS, ACROSS / 2, GATED);  // fragments across that a subgroup stores

@compute @workgroup_size(THREADS)
@subgroup_size(SUBGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let place = placeOf(group.y * groups.x + group.x, local);
  let sums = product(leftOf(place, local), place, 0u, place.slice * dims.W_BATCH, local);
  finishAll(sums, place, local);
}

// Where the rows start that this thread brings.
struct Left { rows: array<u32, PIECES> }

fn leftOf(place: Place, local: u32) -> Left {
  var left: Left;
  for (var i = 0u; i < PIECES; i++) {
    let m = min(place.m + pieceRow(i, local), dims.M - 1u);
    left.rows[i] = place.slice * dims.X_BATCH + dims.X_OFFSET + m * dims.X_PITCH;
  }
  return left;
}

fn loadLeft(left: Left, panel: u32, i: u32, column: u32) -> vec4<u32> {
  let k = panel * PANEL_EIGHTS + column;
  if (dims.K8 % PANEL_EIGHTS == 0u) { return x[left.rows[i] + k]; }
  return select(vec4<u32>(), x[left.rows[i] + min(k, dims.K8 - 1u)], k < dims.K8);
}

fn firstFragment(place: Place) -> u32 { return (place.tile * SUBGROUP_COLUMNS + place.column) * OWN; }

fn weightFragment(place: Place, c: u32) -> u32 {
  let fragment = min(firstFragment(place) + c % OWN, dims.FRAGMENTS - 1u);
  return fragment + select(0u, dims.FRAGMENTS, c >= OWN);
}

fn finish(at: u32, place: Place, m: u32, column: u32) {
  let n = firstFragment(place) * (UNIT_N / 4) + column;
  if (column >= OWN * UNIT_N / 4 || n >= dims.PITCH) { return; }
  let row = place.slice * dims.M + m;
  if (GATED) {
    let gate = readSums(at + OWN * UNIT_N / 4) + loadBias(n + dims.PITCH);
    storeY(row * dims.PITCH + n, (readSums(at) + loadBias(n)) * gelu4(gate));
  } else {
    storeY(row * dims.PITCH + n, keepLanes(epilogue(readSums(at), row, n), n, dims.N));
  }
}
