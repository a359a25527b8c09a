// y[r·B + b, p] = INPUT_SCALE(step) · x[b, p]: the latents as the UNet takes them, once per half of guidance.
// One thread: one pixel (four channels).
@group(0) @binding(0) var<storage, read> state: array<State>;  // [PLANES, B, h, w, 4]; plane 0 is x
@group(0) @binding(1) var<storage, read> table: array<Table>;  // [steps, 16], see sampler-step.wgsl
@group(0) @binding(2) var<storage, read> step: array<Step>;    // [1]
@group(0) @binding(3) var<storage, read_write> y: array<Y>;    // [REPEATS·B, h, w, 4]

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let index = threadIndex(group, groups, local, WORKGROUP);
  if (index >= dims.PLANE * REPEATS) { return; }
  let row = loadTable(4u * u32(elementStep(0u)));
  storeY(index, row.x * loadState(index % dims.PLANE));
}
