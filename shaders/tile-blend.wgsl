// y[b, i, j, :] = (sum[b, i, j, :], if the tile's number is not 0) + rows[i] · columns[j] · m[b, i - top, j - left, :]
// within the tile; beyond it, the first alone. One thread: four channels of the canvas.
@group(0) @binding(0) var<storage, read> sum: array<Sum>;          // [B, HEIGHT, WIDTH, C]
@group(0) @binding(1) var<storage, read> m: array<M>;              // [B, TILE_HEIGHT, TILE_WIDTH, C]
@group(0) @binding(2) var<storage, read> place: array<Place>;      // [3]: top, left, the tile's number
@group(0) @binding(3) var<storage, read> rows: array<Rows>;        // [HEIGHT]
@group(0) @binding(4) var<storage, read> columns: array<Columns>;  // [WIDTH]
@group(0) @binding(5) var<storage, read_write> y: array<Y>;        // like sum

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
  let row = pixel / dims.WIDTH;
  let picture = row / dims.HEIGHT;
  let i = row % dims.HEIGHT;
  let j = pixel % dims.WIDTH;
  let tile = vec3<u32>(loadPlace(0u).xyz);

  // The first tile begins anew, whatever an earlier step left.
  var v = vec4<f32>();
  if (tile.z != 0u) { v = loadSum(index); }
  // Above and to the left of the tile these wrap around to large numbers.
  let down = i - tile.x;
  let right = j - tile.y;
  if (down < dims.TILE_HEIGHT && right < dims.TILE_WIDTH) {
    let at = (picture * dims.TILE_HEIGHT + down) * dims.TILE_WIDTH + right;
    v += elementRows(i) * elementColumns(j) * loadM(at * dims.PITCH + column);
  }
  storeY(index, v);
}
