// y = a followed by b along one axis, for every index of the axes in front of it. One thread: four channels.
@group(0) @binding(0) var<storage, read> a: array<A>;        // pieces of PIECE_A vec4s
@group(0) @binding(1) var<storage, read> b: array<B>;        // pieces of PIECE_B vec4s
@group(0) @binding(2) var<storage, read_write> y: array<Y>;  // a piece of a, a piece of b, and so on

// Both inputs begin on a vec4 border of the result.
fn whole(index: u32) -> YVector {
  let piece = index / (dims.PIECE_A + dims.PIECE_B);
  let i = index % (dims.PIECE_A + dims.PIECE_B);
  if (i < dims.PIECE_A) { return YVector(loadA(piece * dims.PIECE_A + i)); }
  return YVector(loadB(piece * dims.PIECE_B + i - dims.PIECE_A));
}

// The last axis is joined, and b begins inside a vec4.
fn mixed(row: u32, column: u32) -> YVector {
  var v = YVector();
  for (var lane = 0u; lane < 4u; lane++) {
    let c = 4u * column + lane;
    if (c < dims.CHANNELS_A) { v[lane] = YScalar(elementA(4u * row * dims.PIECE_A + c)); }
    else if (c < dims.CHANNELS) { v[lane] = YScalar(elementB(4u * row * dims.PIECE_B + c - dims.CHANNELS_A)); }
  }
  return v;
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let index = threadIndex(group, groups, local, WORKGROUP);
  if (index >= dims.VECTORS) { return; }
  if (WHOLE) { storeY(index, whole(index)); }
  else { storeY(index, mixed(index / dims.PITCH, index % dims.PITCH)); }
}
