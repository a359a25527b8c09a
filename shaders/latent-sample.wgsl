// y[p, c] = SCALE · (mean[p, c] + exp(½ clamp(logvar[p, c], -30, 20)) · noise[p, c]), where a pixel's moments are
// its C means, then its C log variances. One thread: one pixel.
@group(0) @binding(0) var<storage, read> moments: array<Moments>;  // [PIXELS, 2·C]
@group(0) @binding(1) var<storage, read> noise: array<Noise>;      // [PIXELS, C]
@group(0) @binding(2) var<storage, read_write> y: array<Y>;        // [PIXELS, C]

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let pixel = threadIndex(group, groups, local, WORKGROUP);
  if (pixel >= dims.PIXELS) { return; }
  let first = 4u * pixel * dims.MOMENTS_PITCH;
  for (var column = 0u; column < dims.PITCH; column++) {
    var mean: vec4<f32>;
    var deviation: vec4<f32>;
    for (var lane = 0u; lane < 4u; lane++) {
      // Lanes beyond the last channel are cleared below.
      let c = min(4u * column + lane, dims.CHANNELS - 1u);
      mean[lane] = elementMoments(first + c);
      deviation[lane] = exp(0.5 * clamp(elementMoments(first + dims.CHANNELS + c), -30.0, 20.0));
    }
    let at = pixel * dims.PITCH + column;
    storeY(at, keepLanes(dims.SCALE * (mean + deviation * loadNoise(at)), column, dims.CHANNELS));
  }
}
