// y[b, p, q, c] = max over i, j of x[b, p·STRIDE_Y + i - TOP, q·STRIDE_X + j - LEFT, c], pixels outside left out.
// One thread: four channels of one pixel. Every window holds a pixel of the picture.
@group(0) @binding(0) var<storage, read> x: array<X>;        // [batch, FROM_HEIGHT, FROM_WIDTH, channels]
@group(0) @binding(1) var<storage, read_write> y: array<Y>;  // [batch, TO_HEIGHT, TO_WIDTH, channels]

// The pixels first .. end - 1 of a window along one axis that are inside.
fn inside(at: u32, before: u32, kernel: u32, size: u32) -> vec2<u32> {
  return vec2<u32>(max(at, before) - before, min(at + kernel - before, size));
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let index = threadIndex(group, groups, local, WORKGROUP);
  if (index >= dims.VECTORS) { return; }
  let column = index % dims.PITCH;
  let pixel = index / dims.PITCH;
  let row = pixel / dims.TO_WIDTH;
  let rows = inside(row % dims.TO_HEIGHT * dims.STRIDE_Y, dims.TOP, dims.KERNEL_Y, dims.FROM_HEIGHT);
  let columns = inside(pixel % dims.TO_WIDTH * dims.STRIDE_X, dims.LEFT, dims.KERNEL_X, dims.FROM_WIDTH);
  let picture = row / dims.TO_HEIGHT * dims.FROM_HEIGHT;
  var largest = loadX(((picture + rows.x) * dims.FROM_WIDTH + columns.x) * dims.PITCH + column);
  for (var i = rows.x; i < rows.y; i++) {
    for (var j = columns.x; j < columns.y; j++) {
      largest = max(largest, loadX(((picture + i) * dims.FROM_WIDTH + j) * dims.PITCH + column));
    }
  }
  storeY(index, largest);
}
