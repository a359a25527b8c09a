// Channels are stored in fours; the lanes beyond the last channel are kept zero, so that products
// and sums over whole vectors need no bounds test.
fn keepLanes(v: vec4<f32>, column: u32, channels: u32) -> vec4<f32> {
  return select(vec4<f32>(), v, insideLanes(column, channels));
}

fn insideLanes(column: u32, channels: u32) -> vec4<bool> {
  let lane = vec4<u32>(4u * column) + vec4<u32>(0u, 1u, 2u, 3u);
  return lane < vec4<u32>(channels);
}
