// y[b, i, j, :] = x[b, top + i, left + j, :]. One thread: four channels.
@group(0) @binding(0) var<storage, read> x: array<X>;          // [B, HEIGHT, WIDTH, C]
@group(0) @binding(1) var<storage, read> place: array<Place>;  // [3]: top, left, the tile's number
@group(0) @binding(2) var<storage, read_write> y: array<Y>;    // [B, TILE_HEIGHT, TILE_WIDTH, C]

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let index = threadIndex(group, groups, local, WORKGROUP);
  if (index >= dims.VECTORS) { return; }
  let column = index % dims.PITCH;
  let pixel = index / dims.PITCH;
  let row = pixel / dims.TILE_WIDTH;
  let picture = row / dims.TILE_HEIGHT;
  let at = vec2<u32>(loadPlace(0u).xy) + vec2<u32>(row % dims.TILE_HEIGHT, pixel % dims.TILE_WIDTH);
  storeY(index, loadX(((picture * dims.HEIGHT + at.x) * dims.WIDTH + at.y) * dims.PITCH + column));
}
