// y[i, :] = weight[ids[i] - FIRST, :] if that row is here, else previous[i, :] (zeros without one).
// One thread: four channels.
@group(0) @binding(0) var<storage, read> ids: array<Ids>;            // [.., ID_CHANNELS]
@group(0) @binding(1) var<storage, read> weight: array<Weight>;      // [ENTRIES, C]
@group(0) @binding(2) var<storage, read> previous: array<Previous>;  // [.., ID_CHANNELS, C]
@group(0) @binding(3) var<storage, read_write> y: array<Y>;          // [.., ID_CHANNELS, C]

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let index = threadIndex(group, groups, local, WORKGROUP);
  if (index >= dims.VECTORS) { return; }
  let i = index / dims.PITCH;
  let id = elementIds(i / dims.ID_CHANNELS * dims.ID_STRIDE + i % dims.ID_CHANNELS);
  var v = vec4<f32>();
  if (id >= dims.FIRST && id - dims.FIRST < dims.ENTRIES) {
    v = loadWeight(u32(id - dims.FIRST) * dims.PITCH + index % dims.PITCH);
  } else {
    v = loadPrevious(index);
  }
  storeY(index, v);
}
