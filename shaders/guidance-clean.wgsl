// y = a·x + b·guided with the step's a and b: x0, whatever the model predicts. It is written down once, so that
// all that rank it see the same bits. One thread: one pixel (four channels).
@group(0) @binding(0) var<storage, read> state: array<State>;    // [PLANES, B, h, w, 4]; plane 0 is x
@group(0) @binding(1) var<storage, read> guided: array<Guided>;  // [B, h, w, 4]
@group(0) @binding(2) var<storage, read> table: array<Table>;    // [steps, 8], see guidance.ts
@group(0) @binding(3) var<storage, read> step: array<Step>;      // [1]
@group(0) @binding(4) var<storage, read_write> y: array<Y>;      // [B, h, w, 4]

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let pixel = threadIndex(group, groups, local, WORKGROUP);
  if (pixel >= dims.PLANE) { return; }
  let row = loadTable(2u * u32(elementStep(0u)));
  storeY(pixel, row.y * loadState(pixel) + row.z * loadGuided(pixel));
}
