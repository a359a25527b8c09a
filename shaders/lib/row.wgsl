// A row of channels for LANES threads of a workgroup (1: each thread has its own row). The totals are
// added up as a tree, so rounding errors grow with the logarithm of the row's length.
var<workgroup> rowShared: array<f32, WORKGROUP>;

fn rowSum(local: u32, value: f32) -> f32 {
  if (LANES == 1u) { return value; }
  // Protects rowShared from the readers of an earlier reduction.
  workgroupBarrier();
  rowShared[local] = value;
  for (var reach = LANES / 2u; reach > 0u; reach /= 2u) {
    // Protects the values written in the step before (or just above).
    workgroupBarrier();
    if (local % LANES < reach) { rowShared[local] += rowShared[local + reach]; }
  }
  // Protects the total, which another thread wrote.
  workgroupBarrier();
  return rowShared[local - local % LANES];
}

fn rowMax(local: u32, value: f32) -> f32 {
  if (LANES == 1u) { return value; }
  // Protects rowShared from the readers of an earlier reduction.
  workgroupBarrier();
  rowShared[local] = value;
  for (var reach = LANES / 2u; reach > 0u; reach /= 2u) {
    // Protects the values written in the step before (or just above).
    workgroupBarrier();
    if (local % LANES < reach) { rowShared[local] = max(rowShared[local], rowShared[local + reach]); }
  }
  // Protects the maximum, which another thread wrote.
  workgroupBarrier();
  return rowShared[local - local % LANES];
}
