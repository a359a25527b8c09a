// Four channels of x, or, JOINED, of x and what lies beside it: SPLIT vec4s of a row in the one storage, the others in
// the other.
fn loadJoined(row: u32, column: u32) -> vec4<f32> {
  if (!JOINED) { return loadX(row * dims.PITCH + column); }
  if (column < dims.SPLIT) { return loadX(row * dims.SPLIT + column); }
  return loadBeside(row * (dims.PITCH - dims.SPLIT) + column - dims.SPLIT);
}
