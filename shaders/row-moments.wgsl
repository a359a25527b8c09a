// y[r / 4] = means of four rows of x, then Σ (x - mean)² of each: what lib/row-moments has of the rows of a product, for
// rows that come from elsewhere. One workgroup: four rows.
@group(0) @binding(0) var<storage, read> x: array<X>;        // [ROWS, CHANNELS], rows PITCH vec4s apart
@group(0) @binding(1) var<storage, read_write> y: array<Y>;  // [ROWS / 4, 2, 4]

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let quad = group.y * groups.x + group.x;
  if (4u * quad >= dims.ROWS) { return; }
  let rows = min(vec4<u32>(4u * quad) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(dims.ROWS - 1u));
  let at = dims.OFFSET + rows * dims.PITCH;
  // Sums around each row's first value, so that they stay small next to it.
  let shift = vec4<f32>(loadX(at.x).x, loadX(at.y).x, loadX(at.z).x, loadX(at.w).x);
  let channels = f32(dims.CHANNELS);
  let mean = shift + workgroupSum(local, sums(at, local, shift, false)) / channels;
  let squares = workgroupSum(local, sums(at, local, mean, true));
  if (local > 0u) { return; }
  storeY(2u * quad, mean);
  storeY(2u * quad + 1u, squares);
}

// Σ (x - centre), or of its squares, over the thread's part of each row.
fn sums(at: vec4<u32>, local: u32, centre: vec4<f32>, squared: bool) -> vec4<f32> {
  var all: vec4<f32>;
  for (var column = local; 4u * column < dims.CHANNELS; column += WORKGROUP) {
    for (var r = 0u; r < 4u; r++) {
      let d = keepLanes(loadX(at[r] + column) - centre[r], column, dims.CHANNELS);
      all[r] += dot(select(vec4<f32>(1.0), d, squared), d);
    }
  }
  return all;
}
