// y[b, n, h] = Σ_m softmax_m(SCALE · q[b, n, h] · k[b, m, h]) v[b, m, h], with a running maximum (Milakov
// and Gimelshein 2018), for software adapters, where a load costs as much as sixty multiplications, and a
// barrier more. One thread: four queries, WIDTH apart, against four keys at a time.
@group(0) @binding(0) var<storage, read> q: array<Q>;        // [BATCH, N, HEADS·4·DV]; rows at Q_OFFSET, Q_PITCH apart
@group(0) @binding(1) var<storage, read> k: array<K>;        // [BATCH, M, HEADS·4·DV]; rows at K_OFFSET, K_PITCH apart
@group(0) @binding(2) var<storage, read> v: array<V>;        // [BATCH, M, HEADS·4·EV]; rows at V_OFFSET, V_PITCH apart
@group(0) @binding(3) var<storage, read_write> y: array<Y>;  // [BATCH, N, HEADS·4·EV]

const SIDE = 4u;
// The score of a key that a query does not see: far below any other, yet finite.
const HIDDEN = vec4<f32>(-1e30);

// [column, query, thread]: each thread has its own, so nothing waits. A private array would do, but lavapipe
// is twice as slow with one that is indexed by a variable.
var<workgroup> sums: array<vec4<f32>, COLUMNS * SIDE * WIDTH>;

@compute @workgroup_size(WIDTH)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) lane: u32,
) {
  let index = group.y * groups.x + group.x;
  let head = index / dims.BLOCKS % dims.HEADS;
  // A workgroup too many repeats the last picture, and stores nothing. None leaves early: where all threads of a
  // subgroup are at work, lavapipe loads what they share (k and v) once.
  let batch = min(index / (dims.BLOCKS * dims.HEADS), dims.BATCH - 1u);
  let wanted = index < dims.BATCH * dims.HEADS * dims.BLOCKS;
  let n0 = index % dims.BLOCKS * SIDE * WIDTH;
  let n = n0 + lane + WIDTH * vec4<u32>(0u, 1u, 2u, 3u);
  let limit = select(dims.M, min(dims.M, n0 + SIDE * WIDTH), dims.CAUSAL == 1u);
  let seen = select(vec4<u32>(dims.M), min(vec4<u32>(dims.M), n + 1u), dims.CAUSAL == 1u);
  let q0 = dims.Q_OFFSET + head * dims.DV + (batch * dims.N + min(n, vec4<u32>(dims.N - 1u))) * dims.Q_PITCH;

  // Component r of a vector, and column r of a matrix, belong to query r.
  var peak = HIDDEN;
  var total = vec4<f32>();
  for (var m0 = 0u; m0 < limit; m0 += SIDE) {
    let m = batch * dims.M + min(m0 + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(dims.M - 1u));
    let k0 = dims.K_OFFSET + head * dims.DV + m * dims.K_PITCH;
    var s0 = vec4<f32>(); var s1 = vec4<f32>(); var s2 = vec4<f32>(); var s3 = vec4<f32>();
    for (var c = 0u; c < dims.DV; c++) {
      let query = mat4x4<f32>(loadQ(q0.x + c), loadQ(q0.y + c), loadQ(q0.z + c), loadQ(q0.w + c));
      s0 += loadK(k0.x + c) * query;
      s1 += loadK(k0.y + c) * query;
      s2 += loadK(k0.z + c) * query;
      s3 += loadK(k0.w + c) * query;
    }
    s0 = select(HIDDEN, dims.SCALE * s0, vec4<u32>(m0) < seen);
    s1 = select(HIDDEN, dims.SCALE * s1, vec4<u32>(m0 + 1u) < seen);
    s2 = select(HIDDEN, dims.SCALE * s2, vec4<u32>(m0 + 2u) < seen);
    s3 = select(HIDDEN, dims.SCALE * s3, vec4<u32>(m0 + 3u) < seen);

    let high = max(peak, max(max(s0, s1), max(s2, s3)));
    let shrink = exp2(peak - high);
    let w0 = exp2(s0 - high);
    let w1 = exp2(s1 - high);
    let w2 = exp2(s2 - high);
    let w3 = exp2(s3 - high);
    peak = high;
    total = total * shrink + ((w0 + w1) + (w2 + w3));

    let v0 = dims.V_OFFSET + head * dims.EV + m * dims.V_PITCH;
    for (var c = 0u; c < dims.EV; c++) {
      let sum = outer(w0, loadV(v0.x + c)) + outer(w1, loadV(v0.y + c))
        + outer(w2, loadV(v0.z + c)) + outer(w3, loadV(v0.w + c));
      let at = c * SIDE * WIDTH + lane;
      sums[at] = shrink.x * sums[at] + sum[0];
      sums[at + WIDTH] = shrink.y * sums[at + WIDTH] + sum[1];
      sums[at + 2u * WIDTH] = shrink.z * sums[at + 2u * WIDTH] + sum[2];
      sums[at + 3u * WIDTH] = shrink.w * sums[at + 3u * WIDTH] + sum[3];
    }
  }

  for (var i = 0u; i < SIDE * dims.EV; i++) {
    let r = i % SIDE;
    // The pads of v are zero, so those of the sum are.
    if (wanted && n0 + r * WIDTH + lane < dims.N) {
      let row = (batch * dims.N + n0 + r * WIDTH + lane) * dims.HEADS + head;
      storeY(row * dims.EV + i / SIDE, sums[i * WIDTH + lane] / total[r]);
    }
  }
}

// Column r is x[r]·v.
fn outer(x: vec4<f32>, v: vec4<f32>) -> mat4x4<f32> {
  return mat4x4<f32>(x.x * v, x.y * v, x.z * v, x.w * v);
}
