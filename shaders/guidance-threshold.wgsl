// x0 = a·x + b·guided is clamped to [−s, s] around its centre and scaled by goal / s; y is the m that has this x0.
// Dynamic thresholding (Saharia et al. 2022, "Imagen", 2.3): centre 0, s the quantile in [1, most], goal 1.
// Mimicking: the channel's centre, goal its spread at the scale to mimic, s the larger of that and the quantile.
// Where the step's row says so, m goes only a share of the way. One thread: one pixel (four channels).
@group(0) @binding(0) var<storage, read> state: array<State>;        // [PLANES, B, h, w, 4]; plane 0 is x
@group(0) @binding(1) var<storage, read> guided: array<Guided>;      // [B, h, w, 4]
@group(0) @binding(2) var<storage, read> limits: array<Limits>;      // [B, 1] quantiles; MIMIC: [B, 4, 1]
@group(0) @binding(3) var<storage, read> own: array<Own>;            // [B, 4, 2]: centre and spread of x0
@group(0) @binding(4) var<storage, read> mimicked: array<Mimicked>;  // [B, 4, 2]: the same at the scale to mimic
@group(0) @binding(5) var<storage, read> table: array<Table>;        // [steps, 8], see guidance.ts
@group(0) @binding(6) var<storage, read> step: array<Step>;          // [1]
@group(0) @binding(7) var<storage, read_write> y: array<Y>;          // [B, h, w, 4]

struct Range { centre: vec4<f32>, limit: vec4<f32>, goal: vec4<f32> }

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let pixel = threadIndex(group, groups, local, WORKGROUP);
  if (pixel >= dims.PLANE) { return; }
  let row = 2u * u32(elementStep(0u));
  let factors = loadTable(row);
  let g = loadGuided(pixel);
  let fromX = factors.y * loadState(pixel);
  let clean = fromX + factors.z * g;
  let range = rangeOf(pixel / dims.PICTURE, loadTable(row + 1u).y);
  let offset = clean - range.centre;
  let empty = range.limit == vec4<f32>();
  let share = clamp(offset, -range.limit, range.limit) / select(range.limit, vec4<f32>(1.0), empty);
  let drawn = range.centre + share * range.goal;
  // What is in range already stays to the last bit; what is not finite stays so, and is reported.
  let inside = (abs(offset) <= range.limit) & (range.limit == range.goal);
  let keep = inside | notFinite(clean) | vec4<bool>(factors.z == 0.0);
  let exact = (drawn - fromX) / select(factors.z, 1.0, factors.z == 0.0);
  let part = select(g + factors.w * (exact - g), exact, MIMIC || factors.w == 1.0);
  storeY(pixel, select(part, g, keep));
}

fn rangeOf(picture: u32, most: f32) -> Range {
  let ones = vec4<f32>(1.0);
  if (!MIMIC) {
    let quantile = vec4<f32>(loadLimits(picture).x);
    // A quantile that is not finite is as large as it may be.
    let limit = select(clamp(quantile, ones, vec4<f32>(most)), vec4<f32>(most), notFinite(quantile));
    return Range(vec4<f32>(), limit, ones);
  }
  var range = Range();
  for (var c = 0u; c < 4u; c++) {
    range.centre[c] = loadOwn(4u * picture + c).x;
    range.goal[c] = loadMimicked(4u * picture + c).y;
    range.limit[c] = max(range.goal[c], loadLimits(4u * picture + c).x);
  }
  return range;
}

// WGSL lets a compiler assume that there are no infinities and NaNs, so ask the bits of the exponent.
fn notFinite(v: vec4<f32>) -> vec4<bool> {
  return (bitcast<vec4<u32>>(v) & vec4<u32>(0x7f800000u)) == vec4<u32>(0x7f800000u);
}
