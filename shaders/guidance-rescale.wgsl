// y[b] = 1 + φ·(std(c) / std(g) − 1) over all of picture b, where g is the guided m and c the same at scale 1
// (Lin et al. 2023, "Common Diffusion Noise Schedules and Sample Steps are Flawed", eq. 15 and 16). Both
// deviations divide by count − 1, which cancels. One workgroup: one picture.
@group(0) @binding(0) var<storage, read> m: array<M>;              // [(1 + CONDITIONS)·B, h, w, 4]: u, then c₁, c₂, …
@group(0) @binding(1) var<storage, read> weights: array<Weights>;  // [CONDITIONS]
@group(0) @binding(2) var<storage, read> table: array<Table>;      // [steps, 8], see guidance.ts
@group(0) @binding(3) var<storage, read> step: array<Step>;        // [1]
@group(0) @binding(4) var<storage, read_write> y: array<Y>;        // [B, 1]

const ONES = vec4<f32>(1.0);

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let picture = group.y * groups.x + group.x;
  if (picture >= dims.BATCH) { return; }
  let row = 2u * u32(elementStep(0u));
  let scale = loadTable(row).x;
  let start = picture * dims.PICTURE;

  var top = 0.0;
  for (var i = local; i < dims.PICTURE; i += WORKGROUP) {
    let pair = guidedAt(start + i, scale);
    let most = max(abs(pair.condition), abs(pair.value));
    top = max(top, max(max(most.x, most.y), max(most.z, most.w)));
  }
  // Squares of huge values would be infinite: all are scaled to at most 4 by a power of two.
  let unit = unitOf(rowMax(local, top));

  var sums = vec2<f32>();
  for (var i = local; i < dims.PICTURE; i += WORKGROUP) {
    let pair = guidedAt(start + i, scale);
    sums += vec2<f32>(dot(ONES, unit * pair.condition), dot(ONES, unit * pair.value));
  }
  let means = both(local, sums) / f32(4u * dims.PICTURE);

  var squares = vec2<f32>();
  for (var i = local; i < dims.PICTURE; i += WORKGROUP) {
    let pair = guidedAt(start + i, scale);
    let c = unit * pair.condition - means.x;
    let g = unit * pair.value - means.y;
    squares += vec2<f32>(dot(c, c), dot(g, g));
  }
  let variances = both(local, squares);
  // A guided picture of one value has no spread to scale.
  let flat = variances.y == 0.0;
  let ratio = select(sqrt(variances.x / select(variances.y, 1.0, flat)), 1.0, flat);
  if (local == 0u) { storeY(picture, vec4<f32>(1.0 + loadTable(row + 1u).x * (ratio - 1.0), 0.0, 0.0, 0.0)); }
}

fn both(local: u32, values: vec2<f32>) -> vec2<f32> {
  let first = rowSum(local, values.x);
  return vec2<f32>(first, rowSum(local, values.y));
}

// The power of two that brings a positive number into [1, 2), or as near to it as a normal number can.
fn unitOf(value: f32) -> f32 {
  let exponent = (bitcast<u32>(value) >> 23u) & 255u;
  return bitcast<f32>(clamp(254u - min(exponent, 254u), 1u, 254u) << 23u);
}
