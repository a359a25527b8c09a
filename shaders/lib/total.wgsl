// Sums over all threads of a workgroup, four at a time, as a tree.
var<workgroup> totalShared: array<vec4<f32>, WORKGROUP>;

fn workgroupSum(local: u32, value: vec4<f32>) -> vec4<f32> {
  // Protects totalShared from the readers of an earlier sum.
  workgroupBarrier();
  totalShared[local] = value;
  for (var reach = WORKGROUP / 2u; reach > 0u; reach /= 2u) {
    // Protects the values written in the step before (or just above).
    workgroupBarrier();
    if (local < reach) { totalShared[local] += totalShared[local + reach]; }
  }
  // Protects the total, which another thread wrote.
  workgroupBarrier();
  return totalShared[0];
}
