// y[b, r, c] = (x[b, r, c] - mean) / √(var + EPS) · weight[c] + bias[c], mean and var over all of a group, and silu of that
// if SILU: for pictures small enough that one workgroup reads its part three times sooner than dispatches follow each other.
// One workgroup: SET neighbouring groups of a picture, as many as begin and end on vec4 borders. One thread: a column
// of them, every LINES-th row.
@group(0) @binding(0) var<storage, read> x: array<X>;            // [BATCH, ROWS, CHANNELS], or its first SPLIT vec4s
@group(0) @binding(1) var<storage, read> beside: array<Beside>;  // the others, where x is joined of two
@group(0) @binding(2) var<storage, read> weight: array<Weight>;  // [CHANNELS]
@group(0) @binding(3) var<storage, read> bias: array<Bias>;      // [CHANNELS]
@group(0) @binding(4) var<storage, read_write> y: array<Y>;      // [BATCH, ROWS, CHANNELS]
@group(0) @binding(5) var<storage, read_write> both: array<Both>;  // x as one, where it is joined of two

// Rows that a thread has on their way at a time.
alias Batch = array<vec4<f32>, IN_FLIGHT>;

struct Part {
  row: u32,     // of the picture's first
  column: u32,  // of the set's first vec4
  line: u32,    // the thread's first row in the picture; ROWS where it has none
  lane: u32,    // the thread's first column in the set
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let index = group.y * groups.x + group.x;
  if (index >= dims.BATCH * dims.SETS) { return; }
  let line = local / dims.LANES;
  let part = Part(
    index / dims.SETS * dims.ROWS,
    index % dims.SETS * dims.WIDTH,
    select(dims.ROWS, line, line < dims.LINES),
    local % dims.LANES,
  );
  let count = f32(dims.ROWS * dims.GROUP);
  // Sums around a value of each group, so that they stay small next to it.
  let shift = firstValues(part);
  let mean = shift + workgroupSum(local, sums(part, shift, false)) / count;
  let variance = workgroupSum(local, sums(part, mean, true)) / count;
  normalize(part, mean, 1.0 / sqrt(variance + dims.EPS));
}

// A value of each of the set's groups.
fn firstValues(part: Part) -> vec4<f32> {
  var values: vec4<f32>;
  for (var g = 0u; g < SET; g++) {
    let channel = min(4u * part.column + g * dims.GROUP, dims.CHANNELS - 1u);
    values[g] = loadJoined(part.row, channel / 4u)[channel % 4u];
  }
  return values;
}

// Σ (x - centre), or of its squares, over the thread's part of each group.
fn sums(part: Part, centre: vec4<f32>, squared: bool) -> vec4<f32> {
  var all = vec4<f32>();
  for (var lane = part.lane; lane < dims.WIDTH; lane += dims.LANES) {
    let column = min(part.column + lane, dims.PITCH - 1u);
    let around = toLanes(centre, lane);
    var sum = vec4<f32>();
    for (var r = part.line; r < dims.ROWS; r += IN_FLIGHT * dims.LINES) {
      let v = load(part, r, column);
      for (var i = 0u; i < IN_FLIGHT; i++) {
        let d = select(vec4<f32>(), v[i] - around, r + i * dims.LINES < dims.ROWS);
        sum += select(d, d * d, squared);
      }
    }
    all += toGroups(keepLanes(sum, part.column + lane, dims.CHANNELS), lane);
  }
  return all;
}

fn load(part: Part, r: u32, column: u32) -> Batch {
  var v: Batch;
  for (var i = 0u; i < IN_FLIGHT; i++) {
    v[i] = loadJoined(part.row + min(r + i * dims.LINES, dims.ROWS - 1u), column);
  }
  return v;
}

fn normalize(part: Part, mean: vec4<f32>, factor: vec4<f32>) {
  for (var lane = part.lane; lane < dims.WIDTH; lane += dims.LANES) {
    let column = part.column + lane;
    // The last set may have fewer groups.
    if (column >= dims.PITCH) { break; }
    let around = toLanes(mean, lane);
    let scale = toLanes(factor, lane) * select(vec4<f32>(1.0), loadWeight(column), WEIGHTED);
    let offset = loadBias(column);
    for (var r = part.line; r < dims.ROWS; r += IN_FLIGHT * dims.LINES) {
      let batch = load(part, r, column);
      for (var i = 0u; i < IN_FLIGHT; i++) {
        if (r + i * dims.LINES >= dims.ROWS) { continue; }
        let at = (part.row + r + i * dims.LINES) * dims.PITCH + column;
        var v = (batch[i] - around) * scale + offset;
        if (SILU) { v = silu4(v); }
        storeY(at, keepLanes(v, column, dims.CHANNELS));
        storeBoth(at, batch[i]);
      }
    }
  }
}

// The group, counted in the set, of each lane of a column.
fn groupsOf(lane: u32) -> vec4<u32> {
  return (vec4<u32>(4u * lane) + vec4<u32>(0u, 1u, 2u, 3u)) / dims.GROUP;
}

fn toLanes(values: vec4<f32>, lane: u32) -> vec4<f32> {
  if (SET == 1u) { return vec4<f32>(values.x); }
  let g = groupsOf(lane);
  return vec4<f32>(values[g.x], values[g.y], values[g.z], values[g.w]);
}

fn toGroups(lanes: vec4<f32>, lane: u32) -> vec4<f32> {
  if (SET == 1u) { return vec4<f32>((lanes.x + lanes.y) + (lanes.z + lanes.w), 0.0, 0.0, 0.0); }
  let g = groupsOf(lane);
  var values: vec4<f32>;
  for (var i = 0u; i < SET; i++) {
    values[i] = dot(select(vec4<f32>(), lanes, g == vec4<u32>(i)), vec4<f32>(1.0));
  }
  return values;
}
