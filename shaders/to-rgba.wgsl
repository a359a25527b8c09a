// y[b, h, w] = RGBA bytes of round(255 · clamp(x / 2 + 1/2, 0, 1)), red lowest; alpha 255, or 0 where x is not finite.
// Halves round to even, as NumPy does. One thread: four neighbouring pixels.
@group(0) @binding(0) var<storage, read> x: array<X>;        // [B, H, W, 3]
@group(0) @binding(1) var<storage, read_write> y: array<Y>;  // [B·H·W] as i32

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let index = threadIndex(group, groups, local, WORKGROUP);
  if (4u * index >= dims.PIXELS) { return; }
  var words: vec4<u32>;
  for (var i = 0u; i < 4u; i++) {
    let pixel = 4u * index + i;
    if (pixel < dims.PIXELS) { words[i] = rgba(loadX(pixel).xyz); }
  }
  storeY(index, bitcast<vec4<i32>>(words));
}

fn rgba(v: vec3<f32>) -> u32 {
  let exponent = bitcast<vec3<u32>>(v) & vec3<u32>(0x7f800000u);
  let bad = any(exponent == vec3<u32>(0x7f800000u));
  let level = vec3<u32>(round(255.0 * clamp(0.5 * v + 0.5, vec3<f32>(0.0), vec3<f32>(1.0))));
  return level.x | (level.y << 8u) | (level.z << 16u) | select(0xff000000u, 0u, bad);
}
