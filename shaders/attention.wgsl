// y[b, n, h] = Σ_m softmax_m(SCALE · q[b, n, h] · k[b, m, h]) v[b, m, h], with a running maximum (Milakov
// and Gimelshein 2018). Eight queries belong to LANES threads, which share out the keys of a tile to make
// scores, then the channels of v to add them up; a workgroup is GROUPS of these.
@group(0) @binding(0) var<storage, read> q: array<Q>;        // [BATCH, N, HEADS·4·DV]; rows at Q_OFFSET, Q_PITCH apart
@group(0) @binding(1) var<storage, read> k: array<K>;        // [BATCH, M, HEADS·4·DV]; rows at K_OFFSET, K_PITCH apart
@group(0) @binding(2) var<storage, read> v: array<V>;        // [BATCH, M, HEADS·4·EV]; rows at V_OFFSET, V_PITCH apart
@group(0) @binding(3) var<storage, read_write> y: array<Y>;  // [BATCH, N, HEADS·4·EV]

const QUERIES = 8u;
const TILE = KEYS * LANES;
// The score of a key that a query does not see: far below any other, yet finite.
const HIDDEN = vec4<f32>(-1e30);

// Two vec4s hold one number for each of the eight queries.
var<workgroup> weights: array<array<vec4<f32>, 2>, GROUPS * TILE>;
var<workgroup> parts: array<array<vec4<f32>, 2>, GROUPS * LANES>;

@compute @workgroup_size(GROUPS * LANES)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let index = group.y * groups.x + group.x;
  let head = index / dims.BLOCKS % dims.HEADS;
  // Where the grid is folded there are workgroups too many: they repeat the last picture's work, unstored.
  let batch = min(index / (dims.BLOCKS * dims.HEADS), dims.BATCH - 1u);
  let block = index % dims.BLOCKS * GROUPS * QUERIES;
  let lane = local % LANES;
  let side = local / LANES;
  let n0 = block + side * QUERIES;

  var peak = array<vec4<f32>, 2>(HIDDEN, HIDDEN);
  var total: array<vec4<f32>, 2>;
  var sum: array<array<vec4<f32>, QUERIES>, COLUMNS>;
  let limit = select(dims.M, min(dims.M, block + GROUPS * QUERIES), dims.CAUSAL == 1u);
  for (var m0 = 0u; m0 < limit; m0 += TILE) {
    var score: array<array<vec4<f32>, 2>, KEYS>;
    // Dawn 0.6.2 does not clear a variable that is declared in a loop: it would keep the last tile's scores.
    for (var j = 0u; j < KEYS; j++) { score[j] = array<vec4<f32>, 2>(); }
    let k0 = dims.K_OFFSET + batch * dims.M * dims.K_PITCH + head * dims.DV;
    let q0 = dims.Q_OFFSET + batch * dims.N * dims.Q_PITCH + head * dims.DV;
    for (var c = 0u; c < dims.DV; c++) {
      var query: array<vec4<f32>, QUERIES>;
      for (var r = 0u; r < QUERIES; r++) {
        query[r] = loadQ(q0 + min(n0 + r, dims.N - 1u) * dims.Q_PITCH + c);
      }
      for (var j = 0u; j < KEYS; j++) {
        let key = loadK(k0 + min(m0 + j * LANES + lane, dims.M - 1u) * dims.K_PITCH + c);
        for (var h = 0u; h < 2u; h++) {
          score[j][h] += vec4<f32>(
            dot(query[4u * h], key),
            dot(query[4u * h + 1u], key),
            dot(query[4u * h + 2u], key),
            dot(query[4u * h + 3u], key),
          );
        }
      }
    }

    var high = peak;
    for (var j = 0u; j < KEYS; j++) {
      let m = m0 + j * LANES + lane;
      for (var h = 0u; h < 2u; h++) {
        let seen = select(vec4<u32>(dims.M), min(vec4<u32>(dims.M), n0 + 4u * h + vec4<u32>(1u, 2u, 3u, 4u)), dims.CAUSAL == 1u);
        score[j][h] = select(HIDDEN, dims.SCALE * score[j][h], vec4<u32>(m) < seen);
        high[h] = max(high[h], score[j][h]);
      }
    }
    parts[local] = high;
    // Protects parts, which the group's other lanes read, and weights, which they read until here.
    workgroupBarrier();
    for (var other = 0u; other < LANES; other++) {
      high[0] = max(high[0], parts[side * LANES + other][0]);
      high[1] = max(high[1], parts[side * LANES + other][1]);
    }
    var shrink: array<vec4<f32>, 2>;
    for (var h = 0u; h < 2u; h++) {
      shrink[h] = exp2(peak[h] - high[h]);
      total[h] *= shrink[h];
      for (var j = 0u; j < KEYS; j++) {
        score[j][h] = exp2(score[j][h] - high[h]);
        total[h] += score[j][h];
      }
    }
    peak = high;
    for (var j = 0u; j < KEYS; j++) { weights[side * TILE + j * LANES + lane] = score[j]; }
    // Protects weights, and parts, which the next tile overwrites.
    workgroupBarrier();

    for (var i = 0u; i < COLUMNS; i++) {
      for (var r = 0u; r < QUERIES; r++) { sum[i][r] *= shrink[r / 4u][r % 4u]; }
    }
    let v0 = dims.V_OFFSET + batch * dims.M * dims.V_PITCH + head * dims.EV;
    for (var m = m0; m < min(m0 + TILE, limit); m++) {
      let weight = weights[side * TILE + m - m0];
      for (var i = 0u; i < COLUMNS; i++) {
        let value = loadV(v0 + m * dims.V_PITCH + min(i * LANES + lane, dims.EV - 1u));
        for (var r = 0u; r < QUERIES; r++) { sum[i][r] += weight[r / 4u][r % 4u] * value; }
      }
    }
  }

  parts[local] = total;
  // Protects parts: every lane has added up its own keys only.
  workgroupBarrier();
  total = parts[side * LANES];
  for (var other = 1u; other < LANES; other++) {
    total[0] += parts[side * LANES + other][0];
    total[1] += parts[side * LANES + other][1];
  }
  if (index >= dims.BATCH * dims.HEADS * dims.BLOCKS) { return; }
  for (var i = 0u; i < COLUMNS; i++) {
    let column = i * LANES + lane;
    for (var r = 0u; r < QUERIES; r++) {
      // The pads of v are zero, so those of the sum are.
      if (n0 + r < dims.N && column < dims.EV) {
        storeY(((batch * dims.N + n0 + r) * dims.HEADS + head) * dims.EV + column, sum[i][r] / total[r / 4u][r % 4u]);
      }
    }
  }
}
