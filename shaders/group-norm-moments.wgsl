// moments[b, g] = (mean, 1 / √(var + EPS), square, count) over all of a group at once, for pictures small enough that one
// workgroup reads it twice in no time. One workgroup: one group.
@group(0) @binding(0) var<storage, read> x: array<X>;                    // [BATCH, ROWS, CHANNELS]
@group(0) @binding(1) var<storage, read_write> moments: array<Moments>;  // [BATCH, GROUPS, 4]

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let index = group.y * groups.x + group.x;
  if (index >= dims.BATCH * dims.GROUPS) { return; }
  // In scalars: the group's first channel in the picture's first row.
  let start = index / dims.GROUPS * dims.ROWS * dims.PITCH * 4u + index % dims.GROUPS * dims.GROUP;
  let count = dims.ROWS * dims.GROUP;
  // Sums around a value of the group, so that they stay small next to it.
  let shift = elementX(start);
  var sum = 0.0;
  for (var i = local; i < count; i += WORKGROUP) {
    sum += elementX(start + address(i)) - shift;
  }
  let mean = shift + rowSum(local, sum) / f32(count);
  var square = 0.0;
  for (var i = local; i < count; i += WORKGROUP) {
    let centred = elementX(start + address(i)) - mean;
    square += centred * centred;
  }
  let total = rowSum(local, square);
  let variance = total / f32(count);
  if (local == 0u) { storeMoments(index, vec4<f32>(mean, 1.0 / sqrt(variance + dims.EPS), total, f32(count))); }
}

fn address(i: u32) -> u32 {
  return i / dims.GROUP * dims.PITCH * 4u + i % dims.GROUP;
}
