// y[b, p] = f[b]·(u + scale·Σ wᵢ·(cᵢ − u)): guidance by one or several conditions with the step's scale, and
// with the factor of the picture, if there is one. One thread: one pixel (four channels).
@group(0) @binding(0) var<storage, read> m: array<M>;              // [(1 + CONDITIONS)·B, h, w, 4]: u, then c₁, c₂, …
@group(0) @binding(1) var<storage, read> weights: array<Weights>;  // [CONDITIONS]
@group(0) @binding(2) var<storage, read> factors: array<Factors>;  // [B, 1]
@group(0) @binding(3) var<storage, read> table: array<Table>;      // [steps, 8], see guidance.ts
@group(0) @binding(4) var<storage, read> step: array<Step>;        // [1]
@group(0) @binding(5) var<storage, read_write> y: array<Y>;        // [B, h, w, 4]

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let pixel = threadIndex(group, groups, local, WORKGROUP);
  if (pixel >= dims.PLANE) { return; }
  let scale = loadTable(2u * u32(elementStep(0u)))[COLUMN];
  let factor = select(1.0, loadFactors(pixel / dims.PICTURE).x, RESCALED);
  storeY(pixel, factor * guidedAt(pixel, scale).value);
}
