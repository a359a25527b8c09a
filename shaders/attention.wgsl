// y[b, n, h] = Σ_m softmax_m(SCALE · q[b, n, h] · k[b, m, h]) v[b, m, h], with a running maximum (Milakov
// and Gimelshein 2018). One workgroup: QUERIES queries of one head, TILE keys at a time. A thread makes the scores of
// four queries and four keys, then adds up values for eight queries and two columns in every COLUMNS.
@group(0) @binding(0) var<storage, read> q: array<Q>;        // [BATCH, N, HEADS·4·DV]; rows at Q_OFFSET, Q_PITCH apart
@group(0) @binding(1) var<storage, read> k: array<K>;        // [BATCH, M, HEADS·4·DV]; rows at K_OFFSET, K_PITCH apart
@group(0) @binding(2) var<storage, read> v: array<V>;        // [BATCH, M, HEADS·4·EV]; rows at V_OFFSET, V_PITCH apart
@group(0) @binding(3) var<storage, read_write> y: array<Y>;  // [BATCH, N, HEADS·4·EV]

const QUADS = QUERIES / 4u;
const THREADS = QUERIES;
const TILE = 16u;     // keys
const DEPTH = 16u;    // vec4s of a query and its keys in workgroup memory
const COLUMNS = 16u;  // vec4s of a value there
const KEY_BLOCKS = TILE / 4u * DEPTH / THREADS;
const VALUES = TILE * COLUMNS / THREADS;
// The score of a key that a query does not see: far below any other, yet finite.
const HIDDEN = vec4<f32>(-1e30);

// Four queries, or keys, of one channel to a vec4: at (channel, query / 4).
var<workgroup> queries: array<vec4<f32>, 4u * DEPTH * QUADS>;
var<workgroup> tile: array<vec4<f32>, 4u * DEPTH * TILE / 4u>;  // keys like that, or values [TILE, COLUMNS]
var<workgroup> weights: array<vec4<f32>, TILE * QUADS>;        // four queries to a vec4: [TILE, QUADS]
var<workgroup> parts: array<vec4<f32>, THREADS>;               // what TILE / 4 threads say of four queries
var<workgroup> shrinks: array<vec4<f32>, QUADS>;

alias Sums = array<array<vec4<f32>, 2u * CHUNKS>, 8>;
alias Keys = array<array<K, 4>, KEY_BLOCKS>;
alias Values = array<V, VALUES>;

// First vec4s of the head's rows.
struct Head { q: u32, k: u32, v: u32 }

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let index = group.y * groups.x + group.x;
  let head = index / dims.BLOCKS % dims.HEADS;
  // Where the grid is folded there are workgroups too many: they repeat the last picture's work, unstored.
  let batch = min(index / (dims.BLOCKS * dims.HEADS), dims.BATCH - 1u);
  let n0 = index % dims.BLOCKS * QUERIES;
  let at = Head(
    dims.Q_OFFSET + batch * dims.N * dims.Q_PITCH + head * dims.DV,
    dims.K_OFFSET + batch * dims.M * dims.K_PITCH + head * dims.DV,
    dims.V_OFFSET + batch * dims.M * dims.V_PITCH + head * dims.EV,
  );
  let lane = local % THREADS;
  let quad = lane % QUADS;
  let row = lane / 8u;

  var peak = HIDDEN;
  var total: vec4<f32>;
  var sums: Sums;
  var keys = loadKeys(at, 0u, 0u, lane);
  storeQueries(at, n0, 0u, lane);
  let limit = select(dims.M, min(dims.M, n0 + QUERIES), dims.CAUSAL == 1u);
  for (var m0 = 0u; m0 < limit; m0 += TILE) {
    let values = loadValues(at, m0, 0u, lane);
    var scores = array<vec4<f32>, 4>();
    // Protects the tile, and queries where they are loaded anew, which other threads read until here.
    workgroupBarrier();
    if (dims.DV > DEPTH && m0 > 0u) { storeQueries(at, n0, 0u, lane); }
    storeKeys(keys, lane);
    // Protects queries and keys: they are whole.
    workgroupBarrier();
    addScores(&scores, lane);
    if (dims.DV > DEPTH) {
      for (var d0 = DEPTH; d0 < dims.DV; d0 += DEPTH) {
        keys = loadKeys(at, m0, d0, lane);
        // Protects queries and the tile, which other threads read until here.
        workgroupBarrier();
        storeQueries(at, n0, d0, lane);
        storeKeys(keys, lane);
        // Protects queries and keys: they are whole.
        workgroupBarrier();
        addScores(&scores, lane);
      }
    }
    hide(&scores, n0 + 4u * quad, m0 + 4u * (lane / QUADS));

    parts[lane] = max(max(scores[0], scores[1]), max(scores[2], scores[3]));
    // Protects parts: they are whole; and the tile, whose keys are no longer read.
    workgroupBarrier();
    var high = peak;
    for (var i = 0u; i < TILE / 4u; i++) { high = max(high, parts[i * QUADS + quad]); }
    let shrink = exp2(peak - high);
    total *= shrink;
    for (var j = 0u; j < 4u; j++) {
      let weight = exp2(scores[j] - high);
      total += weight;
      weights[(lane / QUADS * 4u + j) * QUADS + quad] = weight;
    }
    peak = high;
    // All threads with these four queries say the same.
    if (lane < QUADS) { shrinks[quad] = shrink; }

    storeValues(values, lane);
    // Protects the tile, weights and shrinks: they are whole.
    workgroupBarrier();
    keys = loadKeys(at, m0 + TILE, 0u, lane);
    shrinkSums(&sums, row);
    addValues(&sums, 0u, row, lane % 8u);
    if (CHUNKS > 1) {
      let more = loadValues(at, m0, 1u, lane);
      // Protects the tile, whose values are read until here.
      workgroupBarrier();
      storeValues(more, lane);
      // Protects the tile: it is whole.
      workgroupBarrier();
      addValues(&sums, CHUNKS - 1u, row, lane % 8u);
    }
  }

  // Protects parts, which are read before the barriers of the last tile of keys.
  parts[lane] = total;
  // Protects parts: every thread has added up its own keys only.
  workgroupBarrier();
  if (index >= dims.BATCH * dims.HEADS * dims.BLOCKS) { return; }
  for (var r = 0u; r < 8u; r++) {
    let own = r / 4u * (QUADS / 2u) + row;
    let n = n0 + 4u * own + r % 4u;
    var all = vec4<f32>();
    for (var i = 0u; i < TILE / 4u; i++) { all += parts[i * QUADS + own]; }
    for (var c = 0u; c < 2u * CHUNKS; c++) {
      let column = c * 8u + lane % 8u;
      // The pads of v are zero, so those of the sum are.
      if (n < dims.N && column < dims.EV) {
        storeY(((batch * dims.N + n) * dims.HEADS + head) * dims.EV + column, sums[r][c] / all[r % 4u]);
      }
    }
  }
}

// Scaled queries from channel 4·d0 on, with zeros beyond the last: there the keys are any numbers.
fn storeQueries(at: Head, n0: u32, d0: u32, lane: u32) {
  let n = n0 + lane % QUADS * 4u;
  for (var i = 0u; i < DEPTH / 4u; i++) {
    let d = i * 4u + lane / QUADS;
    let column = at.q + min(d0 + d, dims.DV - 1u);
    let block = transpose(mat4x4<f32>(
      loadQ(column + min(n, dims.N - 1u) * dims.Q_PITCH),
      loadQ(column + min(n + 1u, dims.N - 1u) * dims.Q_PITCH),
      loadQ(column + min(n + 2u, dims.N - 1u) * dims.Q_PITCH),
      loadQ(column + min(n + 3u, dims.N - 1u) * dims.Q_PITCH),
    ));
    let scale = select(0.0, dims.SCALE, d0 + d < dims.DV);
    for (var j = 0u; j < 4u; j++) { queries[(4u * d + j) * QUADS + lane % QUADS] = scale * block[j]; }
  }
}

// Packed as they lie: they are on their way while other things are computed.
fn loadKeys(at: Head, m0: u32, d0: u32, lane: u32) -> Keys {
  var keys: Keys;
  for (var i = 0u; i < KEY_BLOCKS; i++) {
    let column = at.k + min(d0 + (i * THREADS + lane) / 4u, dims.DV - 1u);
    for (var j = 0u; j < 4u; j++) {
      keys[i][j] = k[column + min(m0 + 4u * (lane % 4u) + j, dims.M - 1u) * dims.K_PITCH];
    }
  }
  return keys;
}

fn storeKeys(keys: Keys, lane: u32) {
  for (var i = 0u; i < KEY_BLOCKS; i++) {
    let rows = keys[i];
    let block = transpose(mat4x4<f32>(unpackK(rows[0]), unpackK(rows[1]), unpackK(rows[2]), unpackK(rows[3])));
    for (var j = 0u; j < 4u; j++) { tile[((i * THREADS + lane) / 4u * 4u + j) * (TILE / 4u) + lane % 4u] = block[j]; }
  }
}

fn loadValues(at: Head, m0: u32, chunk: u32, lane: u32) -> Values {
  let column = at.v + min(chunk * COLUMNS + lane % COLUMNS, dims.EV - 1u);
  var values: Values;
  for (var i = 0u; i < VALUES; i++) {
    values[i] = v[column + min(m0 + (i * THREADS + lane) / COLUMNS, dims.M - 1u) * dims.V_PITCH];
  }
  return values;
}

fn storeValues(values: Values, lane: u32) {
  for (var i = 0u; i < VALUES; i++) { tile[i * THREADS + lane] = unpackV(values[i]); }
}

fn addScores(scores: ptr<function, array<vec4<f32>, 4>>, local: u32) {
  let lane = local % THREADS;
  for (var d = 0u; d < DEPTH; d++) {
    for (var j = 0u; j < 4u; j++) {
      let query = queries[(4u * d + j) * QUADS + lane % QUADS];
      let key = tile[(4u * d + j) * (TILE / 4u) + lane / QUADS];
      scores[0] += key.x * query;
      scores[1] += key.y * query;
      scores[2] += key.z * query;
      scores[3] += key.w * query;
    }
  }
}

// Keys from m on are hidden from queries that do not see them, and those that are not there from all.
fn hide(scores: ptr<function, array<vec4<f32>, 4>>, n: u32, m: u32) {
  var seen = vec4<u32>(dims.M);
  if (dims.CAUSAL == 1u) { seen = min(seen, n + vec4<u32>(1u, 2u, 3u, 4u)); }
  for (var j = 0u; j < 4u; j++) { scores[j] = select(HIDDEN, scores[j], vec4<u32>(m + j) < seen); }
}

fn shrinkSums(sums: ptr<function, Sums>, local: u32) {
  let row = local % (QUADS / 2u);
  for (var i = 0u; i < 2u; i++) {
    let shrink = shrinks[i * (QUADS / 2u) + row];
    for (var c = 0u; c < 2u * CHUNKS; c++) {
      sums[4u * i][c] *= shrink.x;
      sums[4u * i + 1u][c] *= shrink.y;
      sums[4u * i + 2u][c] *= shrink.z;
      sums[4u * i + 3u][c] *= shrink.w;
    }
  }
}

fn addValues(sums: ptr<function, Sums>, chunk: u32, local: u32, lane: u32) {
  let row = local % (QUADS / 2u);
  let column = lane % 8u;
  for (var m = 0u; m < TILE; m++) {
    let first = tile[m * COLUMNS + column];
    let second = tile[m * COLUMNS + 8u + column];
    for (var i = 0u; i < 2u; i++) {
      let weight = weights[m * QUADS + i * (QUADS / 2u) + row];
      sums[4u * i][2u * chunk] += weight.x * first;
      sums[4u * i][2u * chunk + 1u] += weight.x * second;
      sums[4u * i + 1u][2u * chunk] += weight.y * first;
      sums[4u * i + 1u][2u * chunk + 1u] += weight.y * second;
      sums[4u * i + 2u][2u * chunk] += weight.z * first;
      sums[4u * i + 2u][2u * chunk + 1u] += weight.z * second;
      sums[4u * i + 3u][2u * chunk] += weight.w * first;
      sums[4u * i + 3u][2u * chunk + 1u] += weight.w * second;
    }
  }
}
