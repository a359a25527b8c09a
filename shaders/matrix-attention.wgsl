// y[b, n, h] = Σ_m softmax_m(SCALE · q[b, n, h] · k[b, m, h]) v[b, m, h] on matrix units, with a running maximum (Milakov
// and Gimelshein 2018) that is raised only where a row's scores outgrow it by 2^8: matrices cannot be scaled row by
// row, so the sums then go through workgroup memory, which is rare after the first keys (as in FlashAttention-4).
// One workgroup: SUBGROUPS subgroups with ROWS queries each of one head, KEYS keys at a time. In between matrices a lane
// has DOWN rows of its own, or a part of them.
@group(0) @binding(0) var<storage, read> q: array<Q>;        // [BATCH, N, HEADS·D8]; rows at Q_OFFSET, Q_PITCH apart, in eights
@group(0) @binding(1) var<storage, read> k: array<K>;        // [BATCH, M, HEADS·D8]; rows at K_OFFSET, K_PITCH apart, in eights
@group(0) @binding(2) var<storage, read> v: array<V>;        // [BATCH, M, HEADS·E8]; rows at V_OFFSET, V_PITCH apart, in eights
@group(0) @binding(3) var<storage, read_write> y: array<Y>;  // [BATCH, N, HEADS·2·E8]

const THREADS = SUBGROUPS * SUBGROUP;
const ROWS = DOWN * UNIT_M;
const PARTS = SUBGROUP / UNIT_M;           // lanes that share a row
const INNER = (D8 * 8 + UNIT_K - 1) / UNIT_K;  // fragments along a query
const OUTER = (E8 * 8 + UNIT_N - 1) / UNIT_N;  // and along a value
const Q_EIGHTS = INNER * UNIT_K / 8;
const V_EIGHTS = OUTER * UNIT_N / 8;
const SPAN = KEYS / UNIT_N;                // result fragments in a row of scores

// In the pool, in eights (or fours of scores); a row is one longer, so that rows start in different banks.
const Q_STRIDE = Q_EIGHTS + 1;
const V_STRIDE = V_EIGHTS + 1;
const S_STRIDE = KEYS / 4 + 1;
const P_STRIDE = KEYS / 8 + 1;
const VALUES = KEYS * Q_STRIDE;
const SCORES = VALUES + KEYS * V_STRIDE;
const WEIGHTS = SCORES + SUBGROUPS * ROWS * S_STRIDE;

const KEY_PIECES = (KEYS * Q_EIGHTS + THREADS - 1) / THREADS;
const VALUE_PIECES = (KEYS * V_EIGHTS + THREADS - 1) / THREADS;
const QUERY_PIECES = (SUBGROUPS * ROWS * Q_EIGHTS + THREADS - 1) / THREADS;

// The score of a key that a query does not see: far below any other, yet finite.
const HIDDEN = -1e30;
// Weights up to 2^8 are safe in halves, and so are their sums in f32.
const SLACK = 8.0;

alias Sums = array<array<ResultMatrix, OUTER>, DOWN>;

// Whether a row of each subgroup has outgrown its maximum.
var<workgroup> votes: array<u32, SUBGROUPS>;

// First eights of the head's rows.
struct Head { q: u32, k: u32, v: u32 }

@compute @workgroup_size(THREADS)
@subgroup_size(SUBGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let index = group.y * groups.x + group.x;
  let head = index / dims.BLOCKS % dims.HEADS;
  // Where the grid is folded there are workgroups too many: they repeat the last picture's work, unstored.
  let batch = min(index / (dims.BLOCKS * dims.HEADS), dims.BATCH - 1u);
  let n0 = index % dims.BLOCKS * (SUBGROUPS * ROWS);
  let at = Head(
    dims.Q_OFFSET + batch * dims.N * dims.Q_PITCH + head * D8,
    dims.K_OFFSET + batch * dims.M * dims.K_PITCH + head * D8,
    dims.V_OFFSET + batch * dims.M * dims.V_PITCH + head * E8,
  );
  let lane = local % THREADS;
  let subgroup = lane / SUBGROUP;
  let row = lane % UNIT_M;
  let part = lane % SUBGROUP / UNIT_M;
  let scoresAt = SCORES + subgroup * ROWS * S_STRIDE;
  let weightsAt = WEIGHTS + subgroup * ROWS * P_STRIDE;
  // The lane's first row, and its part of it.
  let ownScores = scoresAt + row * S_STRIDE + part * (KEYS / PARTS / 4);
  let ownWeights = weightsAt + row * P_STRIDE + part * (KEYS / PARTS / 8);

  storeQueries(at, n0, lane);
  // Protects the queries: they are whole.
  workgroupBarrier();
  var queries: array<array<LeftMatrix, INNER>, DOWN>;
  for (var r = 0u; r < DOWN; r++) {
    for (var c = 0u; c < INNER; c++) {
      queries[r][c] = leftAt((subgroup * ROWS + r * UNIT_M) * Q_STRIDE + c * (UNIT_K / 8), Q_STRIDE);
    }
  }
  // Protects the queries, which are read until here: keys take their place.
  workgroupBarrier();
  storeKeys(loadKeys(at, 0u, lane), lane);
  // Protects the first keys: they are whole.
  workgroupBarrier();

  var peak: array<f32, DOWN>;
  var total: array<f32, DOWN>;
  for (var r = 0u; r < DOWN; r++) { peak[r] = HIDDEN; }
  var sums: Sums;
  let limit = select(dims.M, min(dims.M, n0 + SUBGROUPS * ROWS), dims.CAUSAL == 1u);
  for (var m0 = 0u; m0 < limit; m0 += KEYS) {
    // On their way while scores are made.
    let values = loadValues(at, m0, lane);
    let keys = loadKeys(at, m0 + KEYS, lane);
    for (var j = 0u; j < SPAN; j++) {
      // Spelt out: Dawn's compiler zeroes a matrix variable without it once, not in each round.
      var scores = array<ResultMatrix, DOWN>();
      for (var c = 0u; c < INNER; c++) {
        let key = columnsAt(j * UNIT_N * Q_STRIDE + c * (UNIT_K / 8), Q_STRIDE);
        for (var r = 0u; r < DOWN; r++) { scores[r] = subgroupMatrixMultiplyAccumulate(queries[r][c], key, scores[r]); }
      }
      for (var r = 0u; r < DOWN; r++) {
        storeResult(scoresAt + r * UNIT_M * S_STRIDE + j * (UNIT_N / 4), S_STRIDE, scores[r]);
      }
    }
    // Protects the scores: they are whole; and keys, values and weights, which are no longer read.
    workgroupBarrier();
    var shrinks: array<f32, DOWN>;
    var grown = false;
    for (var r = 0u; r < DOWN; r++) {
      let n = n0 + subgroup * ROWS + r * UNIT_M + row;
      let seen = select(dims.M, min(dims.M, n + 1u), dims.CAUSAL == 1u);
      shrinks[r] = 1.0;
      let high = rowMax(ownScores + r * UNIT_M * S_STRIDE, m0 + part * (KEYS / PARTS), seen);
      if (high > peak[r] + SLACK) {
        shrinks[r] = exp2(max(peak[r] - high, -200.0));
        peak[r] = high;
        grown = true;
      }
      total[r] = total[r] * shrinks[r] + weigh(
        ownScores + r * UNIT_M * S_STRIDE,
        ownWeights + r * UNIT_M * P_STRIDE,
        m0 + part * (KEYS / PARTS),
        seen,
        peak[r],
      );
    }
    let vote = subgroupAny(grown);
    if (lane % SUBGROUP == 0u) { votes[subgroup] = u32(vote); }
    storeValues(values, lane);
    storeKeys(keys, lane);
    // A barrier: protects weights, values, the next keys and the votes, which are whole, and the scores, which are read.
    let all = workgroupUniformLoad(&votes);
    var outgrown = false;
    for (var i = 0u; i < SUBGROUPS; i++) { outgrown = outgrown || all[i] == 1u; }
    // Before the first keys there is nothing to shrink.
    if (outgrown && m0 > 0u) {
      for (var o = 0u; o < OUTER; o += SPAN) {
        for (var r = 0u; r < DOWN; r++) {
          for (var c = 0u; c < SPAN; c++) {
            if (o + c < OUTER) { storeResult(scoresAt + r * UNIT_M * S_STRIDE + c * (UNIT_N / 4), S_STRIDE, sums[r][o + c]); }
          }
        }
        // Protects the sums: they are whole.
        workgroupBarrier();
        for (var r = 0u; r < DOWN; r++) {
          for (var i = 0u; i < KEYS / PARTS / 4; i++) {
            let own = ownScores + r * UNIT_M * S_STRIDE + i;
            writeSums(own, shrinks[r] * readSums(own));
          }
        }
        // Protects the sums: they are shrunk.
        workgroupBarrier();
        for (var r = 0u; r < DOWN; r++) {
          for (var c = 0u; c < SPAN; c++) {
            if (o + c < OUTER) { sums[r][o + c] = resultAt(scoresAt + r * UNIT_M * S_STRIDE + c * (UNIT_N / 4), S_STRIDE); }
          }
        }
        // Protects the sums, which are read until here.
        workgroupBarrier();
      }
    }
    for (var c = 0u; c < KEYS / UNIT_K; c++) {
      var weights: array<LeftMatrix, DOWN>;
      for (var r = 0u; r < DOWN; r++) { weights[r] = leftAt(weightsAt + r * UNIT_M * P_STRIDE + c * (UNIT_K / 8), P_STRIDE); }
      for (var o = 0u; o < OUTER; o++) {
        let value = rightAt(VALUES + c * UNIT_K * V_STRIDE + o * (UNIT_N / 8), V_STRIDE);
        for (var r = 0u; r < DOWN; r++) { sums[r][o] = subgroupMatrixMultiplyAccumulate(weights[r], value, sums[r][o]); }
      }
    }
  }

  for (var r = 0u; r < DOWN; r++) {
    for (var other = UNIT_M; other < SUBGROUP; other *= 2u) { total[r] += subgroupShuffleXor(total[r], other); }
  }
  let spare = index >= dims.BATCH * dims.HEADS * dims.BLOCKS;
  for (var o = 0u; o < OUTER; o += SPAN) {
    for (var r = 0u; r < DOWN; r++) {
      for (var c = 0u; c < SPAN; c++) {
        if (o + c < OUTER) { storeResult(scoresAt + r * UNIT_M * S_STRIDE + c * (UNIT_N / 4), S_STRIDE, sums[r][o + c]); }
      }
    }
    // Protects the sums: they are whole.
    workgroupBarrier();
    for (var r = 0u; r < DOWN; r++) {
      let n = n0 + subgroup * ROWS + r * UNIT_M + row;
      for (var i = 0u; i < KEYS / PARTS / 4; i++) {
        let column = o * (UNIT_N / 4) + part * (KEYS / PARTS / 4) + i;
        if (n < dims.N && column < 2 * E8 && !spare) {
          let sum = readSums(ownScores + r * UNIT_M * S_STRIDE + i);
          storeY(((batch * dims.N + n) * dims.HEADS + head) * (2 * E8) + column, sum / total[r]);
        }
      }
    }
    // Protects the sums, which are read until here.
    workgroupBarrier();
  }
}

// The largest score of a row, over all lanes that share it.
fn rowMax(at: u32, m: u32, seen: u32) -> f32 {
  var high = vec4<f32>(HIDDEN);
  for (var i = 0u; i < KEYS / PARTS / 4; i++) { high = max(high, visible(at + i, m + 4u * i, seen)); }
  var most = max(max(high.x, high.y), max(high.z, high.w));
  for (var other = UNIT_M; other < SUBGROUP; other *= 2u) { most = max(most, subgroupShuffleXor(most, other)); }
  return most;
}

// Writes a lane's weights as halves, and gives the sum of just these halves.
fn weigh(at: u32, to: u32, m: u32, seen: u32, peak: f32) -> f32 {
  var total = vec4<f32>();
  for (var i = 0u; i < KEYS / PARTS / 8; i++) {
    let first = exp2(max(visible(at + 2u * i, m + 8u * i, seen) - peak, vec4<f32>(-200.0)));
    let second = exp2(max(visible(at + 2u * i + 1u, m + 8u * i + 4u, seen) - peak, vec4<f32>(-200.0)));
    let eight = vec4<u32>(
      pack2x16float(first.xy), pack2x16float(first.zw), pack2x16float(second.xy), pack2x16float(second.zw),
    );
    writeEight(to + i, eight);
    total += vec4<f32>(unpack2x16float(eight.x), unpack2x16float(eight.y));
    total += vec4<f32>(unpack2x16float(eight.z), unpack2x16float(eight.w));
  }
  return total.x + total.y + total.z + total.w;
}

// Scaled scores of the keys m to m + 3.
fn visible(at: u32, m: u32, seen: u32) -> vec4<f32> {
  let keys = vec4<u32>(m) + vec4<u32>(0u, 1u, 2u, 3u);
  return select(vec4<f32>(HIDDEN), dims.SCALE * readSums(at), keys < vec4<u32>(seen));
}

fn storeQueries(at: Head, n0: u32, lane: u32) {
  for (var i = 0u; i < QUERY_PIECES; i++) {
    let index = i * THREADS + lane;
    let n = index / Q_EIGHTS;
    let d = index % Q_EIGHTS;
    if (n < SUBGROUPS * ROWS) {
      let eight = q[at.q + min(n0 + n, dims.N - 1u) * dims.Q_PITCH + min(d, D8 - 1u)];
      writeEight(n * Q_STRIDE + d, select(vec4<u32>(), eight, d < D8));
    }
  }
}

fn loadKeys(at: Head, m0: u32, lane: u32) -> array<vec4<u32>, KEY_PIECES> {
  var keys: array<vec4<u32>, KEY_PIECES>;
  for (var i = 0u; i < KEY_PIECES; i++) {
    let index = i * THREADS + lane;
    let d = index % Q_EIGHTS;
    let eight = k[at.k + min(m0 + index / Q_EIGHTS, dims.M - 1u) * dims.K_PITCH + min(d, D8 - 1u)];
    keys[i] = select(vec4<u32>(), eight, d < D8);
  }
  return keys;
}

fn storeKeys(keys: array<vec4<u32>, KEY_PIECES>, lane: u32) {
  for (var i = 0u; i < KEY_PIECES; i++) {
    let index = i * THREADS + lane;
    if (index < KEYS * Q_EIGHTS) { writeEight(index / Q_EIGHTS * Q_STRIDE + index % Q_EIGHTS, keys[i]); }
  }
}

fn loadValues(at: Head, m0: u32, lane: u32) -> array<vec4<u32>, VALUE_PIECES> {
  var values: array<vec4<u32>, VALUE_PIECES>;
  for (var i = 0u; i < VALUE_PIECES; i++) {
    let index = i * THREADS + lane;
    let e = index % V_EIGHTS;
    let eight = v[at.v + min(m0 + index / V_EIGHTS, dims.M - 1u) * dims.V_PITCH + min(e, E8 - 1u)];
    values[i] = select(vec4<u32>(), eight, e < E8);
  }
  return values;
}

fn storeValues(values: array<vec4<u32>, VALUE_PIECES>, lane: u32) {
  for (var i = 0u; i < VALUE_PIECES; i++) {
    let index = i * THREADS + lane;
    if (index < KEYS * V_EIGHTS) { writeEight(VALUES + index / V_EIGHTS * V_STRIDE + index % V_EIGHTS, values[i]); }
  }
}
