// moments[b, g] = (mean, 1 / √(var + EPS), square, count) over the channels and chunks of group g, merged after Chan,
// Golub and LeVeque 1979: var = (Σ squares + Σ n_t (means - mean)²) / n. One workgroup: one group.
@group(0) @binding(0) var<storage, read> means: array<Means>;            // [BATCH, CHUNKS, CHANNELS]
@group(0) @binding(1) var<storage, read> squares: array<Squares>;        // [BATCH, CHUNKS, CHANNELS]
@group(0) @binding(2) var<storage, read_write> moments: array<Moments>;  // [BATCH, GROUPS, 4]

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let index = group.y * groups.x + group.x;
  if (index >= dims.BATCH * dims.GROUPS) { return; }
  // In scalars: the group's first channel in the first chunk of the picture.
  let start = index / dims.GROUPS * dims.CHUNKS * dims.PITCH * 4u + index % dims.GROUPS * dims.GROUP;
  // As in the statistics, sums around a value of the group.
  let shift = elementMeans(start);
  var sum = 0.0;
  for (var i = local; i < dims.CHUNKS * dims.GROUP; i += WORKGROUP) {
    sum += rowsOf(i / dims.GROUP) * (elementMeans(start + address(i)) - shift);
  }
  let mean = shift + rowSum(local, sum) / f32(dims.ROWS * dims.GROUP);
  var square = 0.0;
  for (var i = local; i < dims.CHUNKS * dims.GROUP; i += WORKGROUP) {
    let centred = elementMeans(start + address(i)) - mean;
    square += elementSquares(start + address(i)) + rowsOf(i / dims.GROUP) * centred * centred;
  }
  let total = rowSum(local, square);
  let count = f32(dims.ROWS * dims.GROUP);
  if (local == 0u) { storeMoments(index, vec4<f32>(mean, 1.0 / sqrt(total / count + dims.EPS), total, count)); }
}

fn address(i: u32) -> u32 {
  return i / dims.GROUP * dims.PITCH * 4u + i % dims.GROUP;
}

fn rowsOf(chunk: u32) -> f32 {
  return f32(min(dims.CHUNK_ROWS, dims.ROWS - chunk * dims.CHUNK_ROWS));
}
