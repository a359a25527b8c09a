// Moments of two parts of a picture as those of both, after Chan, Golub and LeVeque 1979:
// y[b, g] = (mean, 1 / √(square / count + EPS), square, count). One thread: one group.
@group(0) @binding(0) var<storage, read> a: array<A>;        // [BATCH, GROUPS, 4], as group-norm-merge writes them
@group(0) @binding(1) var<storage, read> b: array<B>;        // [BATCH, GROUPS, 4]
@group(0) @binding(2) var<storage, read_write> y: array<Y>;  // [BATCH, GROUPS, 4]

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let index = threadIndex(group, groups, local, WORKGROUP);
  if (index >= dims.MOMENTS) { return; }
  let p = loadA(index);
  let q = loadB(index);
  let count = p.w + q.w;
  let apart = q.x - p.x;
  let mean = p.x + apart * (q.w / count);
  let square = p.z + q.z + apart * apart * (p.w * (q.w / count));
  storeY(index, vec4<f32>(mean, 1.0 / sqrt(square / count + dims.EPS), square, count));
}
