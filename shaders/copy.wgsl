// y[i0, i1, …] = x[OFFSET + Σ (i_a - BEFORE_a) · STRIDE_a] inside the source, VALUE outside.
// Permutation, slice, expansion, padding and change of dtype are all this. One thread: four channels.
@group(0) @binding(0) var<storage, read> x: array<X>;        // any layout, described by STRIDE
@group(0) @binding(1) var<storage, read_write> y: array<Y>;  // [SHAPE]

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let index = threadIndex(group, groups, local, WORKGROUP);
  if (index >= VECTORS) { return; }
  let column = index % PITCH;
  var row = index / PITCH;
  var address = OFFSET;
  var inside = true;
  for (var axis = LAST; axis > 0u; axis--) {
    let a = axis - 1u;
    let i = i32(row % SHAPE[a]) - BEFORE[a];
    row /= SHAPE[a];
    inside = inside && i >= 0 && i < SOURCE[a];
    address += i * STRIDE[a];
  }
  if (ALIGNED) {
    let v = select(XVector(XScalar(VALUE)), loadX(u32(max(address, 0)) / 4u + column), inside);
    storeY(index, select(YVector(), YVector(v), insideLanes(column, SHAPE[LAST])));
    return;
  }
  var v = XVector(XScalar(VALUE));
  for (var lane = 0u; lane < 4u; lane++) {
    let i = i32(4u * column + lane) - BEFORE[LAST];
    if (inside && i >= 0 && i < SOURCE[LAST]) {
      v[lane] = elementX(u32(address + i * STRIDE[LAST]));
    }
  }
  storeY(index, select(YVector(), YVector(v), insideLanes(column, SHAPE[LAST])));
}
