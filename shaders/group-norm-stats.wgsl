// means[b, t, c] = mean of x[b, r, c] over the rows r of chunk t; squares[b, t, c] = Σ_r (x[b, r, c] - mean)².
// One thread: four channels of a chunk.
@group(0) @binding(0) var<storage, read> x: array<X>;                    // [BATCH, ROWS, CHANNELS], or its first SPLIT vec4s
@group(0) @binding(1) var<storage, read> beside: array<Beside>;          // the others, where x is joined of two
@group(0) @binding(2) var<storage, read_write> means: array<Means>;      // [BATCH, CHUNKS, CHANNELS]
@group(0) @binding(3) var<storage, read_write> squares: array<Squares>;  // [BATCH, CHUNKS, CHANNELS]

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let index = threadIndex(group, groups, local, WORKGROUP);
  if (index >= dims.BATCH * dims.CHUNKS * dims.PITCH) { return; }
  let column = index % dims.PITCH;
  let first = index / dims.PITCH % dims.CHUNKS * dims.CHUNK_ROWS;
  let count = min(dims.CHUNK_ROWS, dims.ROWS - first);
  let start = index / (dims.PITCH * dims.CHUNKS) * dims.ROWS + first;
  // Sums around the chunk's first value: what cancels is at most `count` times what is left, wherever
  // the values lie.
  let shift = loadJoined(start, column);
  var sum = vec4<f32>();
  var square = vec4<f32>();
  for (var r = 1u; r < count; r++) {
    let v = loadJoined(start + r, column) - shift;
    sum += v;
    square += v * v;
  }
  let offset = sum / f32(count);
  storeMeans(index, shift + offset);
  storeSquares(index, max(square - sum * offset, vec4<f32>()));
}
