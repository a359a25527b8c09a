// A fragment of the right side w in storage: PACKED ones have a column's terms side by side.
fn storedRightAt(at: u32, stride: u32) -> RightMatrix {
  return subgroupMatrixLoad<RightMatrix>(&w, 8u * at, PACKED, 8u * stride);
}
