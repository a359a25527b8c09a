// y[0] = the earliest step that left a non-finite latent in picture `index` (1 + its number; 0: none).
// One workgroup; each thread looks at every WORKGROUP-th pixel.
@group(0) @binding(0) var<storage, read> state: array<State>;  // [7, B, h, w, 4]; plane 6 holds the first bad step
@group(0) @binding(1) var<storage, read> index: array<Index>;  // [1]
@group(0) @binding(2) var<storage, read_write> y: array<Y>;    // [1]

const NEVER = 0x7fffffff;
var<workgroup> earliest: array<i32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(local_invocation_index) local: u32) {
  let start = BAD * dims.PLANE + u32(elementIndex(0u)) * dims.PICTURE;
  var found = NEVER;
  for (var i = local; i < dims.PICTURE; i += WORKGROUP) {
    let step = i32(loadState(start + i).x);
    if (step > 0) { found = min(found, step); }
  }
  earliest[local] = found;
  for (var width = WORKGROUP / 2u; width > 0u; width /= 2u) {
    workgroupBarrier();  // the halves of `earliest` that are compared now have been written
    if (local < width) { earliest[local] = min(earliest[local], earliest[local + width]); }
  }
  if (local == 0u) { storeY(0u, vec4<i32>(select(earliest[0], 0, earliest[0] == NEVER), 0, 0, 0)); }
}
