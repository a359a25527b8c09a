// A fragment of the right side w in storage: PACKED ones have a column's terms side by side.
fn storedRightAt(at: u32, stride: u32) -> RightMatrix {
  if (PACKED) { return subgroupMatrixLoad<RightMatrix, col_major>(&w, at, stride); }
  return subgroupMatrixLoad<RightMatrix, row_major>(&w, at, stride);
}
