// y[i0, i1, …] = x[OFFSET + Σ (i_a - BEFORE_a) · STRIDE_a] inside the source, VALUE outside.
// Permutation, slice, expansion, padding and change of dtype are all this. One thread: four channels.
@group(0) @binding(0) var<storage, read> x: array<X>;        // any layout, described by the strides
@group(0) @binding(1) var<storage, read_write> y: array<Y>;  // […, SIZE_1, SIZE_0, CHANNELS]

struct Walk {
  rest: u32,
  address: i32,
  inside: bool,
}

fn walk(at: Walk, size: u32, stride: i32, before: i32, source: i32) -> Walk {
  let i = i32(at.rest % size) - before;
  return Walk(at.rest / size, at.address + i * stride, at.inside && i >= 0 && i < source);
}

// The innermost axis is number 0.
fn place(row: u32) -> Walk {
  var at = Walk(row, dims.OFFSET, true);
  if (AXES > 0u) { at = walk(at, dims.SIZE_0, dims.STRIDE_0, dims.BEFORE_0, dims.SOURCE_0); }
  if (AXES > 1u) { at = walk(at, dims.SIZE_1, dims.STRIDE_1, dims.BEFORE_1, dims.SOURCE_1); }
  if (AXES > 2u) { at = walk(at, dims.SIZE_2, dims.STRIDE_2, dims.BEFORE_2, dims.SOURCE_2); }
  if (AXES > 3u) { at = walk(at, dims.SIZE_3, dims.STRIDE_3, dims.BEFORE_3, dims.SOURCE_3); }
  if (AXES > 4u) { at = walk(at, dims.SIZE_4, dims.STRIDE_4, dims.BEFORE_4, dims.SOURCE_4); }
  return at;
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
  let at = place(index / dims.PITCH);
  let lanes = insideLanes(column, dims.CHANNELS);
  var v = XVector(XScalar(dims.VALUE));
  if (ALIGNED) {
    if (at.inside) { v = loadX(u32(at.address) / 4u + column); }
    storeY(index, select(YVector(), YVector(v), lanes));
    return;
  }
  for (var lane = 0u; lane < 4u; lane++) {
    let i = i32(4u * column + lane) - dims.BEFORE;
    if (at.inside && lanes[lane] && i >= 0 && i < dims.SOURCE) {
      v[lane] = elementX(u32(at.address + i * dims.STRIDE));
    }
  }
  storeY(index, select(YVector(), YVector(v), lanes));
}
