// y[b, c] = (mean, max |x − mean|) over the pixels of channel c of picture b. One workgroup: one channel.
@group(0) @binding(0) var<storage, read> x: array<X>;        // [B, h, w, 4]
@group(0) @binding(1) var<storage, read_write> y: array<Y>;  // [B, 4, 2]

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let channel = group.y * groups.x + group.x;
  if (channel >= dims.CHANNELS) { return; }
  let start = channel / 4u * dims.PICTURE * 4u + channel % 4u;
  // Divided before they are added up: a sum of huge values would be infinite. And around a value of the
  // channel, so that what is added up stays small next to it.
  let shift = elementX(start) / dims.COUNT;
  var sum = 0.0;
  for (var i = local; i < dims.PICTURE; i += WORKGROUP) {
    sum += elementX(start + 4u * i) / dims.COUNT - shift;
  }
  let mean = elementX(start) + rowSum(local, sum);
  var spread = 0.0;
  for (var i = local; i < dims.PICTURE; i += WORKGROUP) {
    spread = max(spread, abs(elementX(start + 4u * i) - mean));
  }
  spread = rowMax(local, spread);
  if (local == 0u) { storeY(channel, vec4<f32>(mean, spread, 0.0, 0.0)); }
}
