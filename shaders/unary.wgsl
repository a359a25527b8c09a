// y[r, c] = f(x[r, c]). One thread: four channels.
@group(0) @binding(0) var<storage, read> x: array<X>;        // [.., CHANNELS]
@group(0) @binding(1) var<storage, read_write> y: array<Y>;  // [.., CHANNELS]

fn apply(v: vec4<f32>) -> vec4<f32> {
  switch FUNCTION {
    case 0u: { return silu4(v); }
    case 1u: { return gelu4(v); }
    case 2u: { return geluTanh4(v); }
    case 3u: { return geluQuick4(v); }
    case 4u: { return sigmoid4(v); }
    case 5u: { return relu4(v); }
    case 6u: { return v + dims.SCALAR; }
    case 7u: { return v - dims.SCALAR; }
    case 8u: { return v * dims.SCALAR; }
    default: { return v / dims.SCALAR; }
  }
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let index = threadIndex(group, groups, local, WORKGROUP);
  if (index >= dims.VECTORS) { return; }
  storeY(index, keepLanes(apply(loadX(index)), index % dims.PITCH, dims.CHANNELS));
}
