// y[i…, c] = a[Σ i·STRIDE_A, c] ∘ b[Σ i·STRIDE_B, c], where a last axis of 1 is repeated. One thread: four channels.
@group(0) @binding(0) var<storage, read> a: array<A>;        // rows of CHANNELS, or of 1 (SPLAT_A)
@group(0) @binding(1) var<storage, read> b: array<B>;        // rows of CHANNELS, or of 1 (SPLAT_B)
@group(0) @binding(2) var<storage, read_write> y: array<Y>;  // [SIZE, CHANNELS]

fn valueA(row: u32, column: u32) -> vec4<f32> {
  if (SPLAT_A) { return vec4<f32>(elementA(4u * row)); }
  return loadA(row * dims.PITCH + column);
}

fn valueB(row: u32, column: u32) -> vec4<f32> {
  if (SPLAT_B) { return vec4<f32>(elementB(4u * row)); }
  return loadB(row * dims.PITCH + column);
}

// The rows of a and b for a row of y; the innermost axis is number 0.
fn rowsOf(row: u32) -> vec2<u32> {
  var rest = row;
  var rows = rest % dims.SIZE_0 * vec2<u32>(dims.STRIDE_A_0, dims.STRIDE_B_0);
  if (AXES > 1u) {
    rest /= dims.SIZE_0;
    rows += rest % dims.SIZE_1 * vec2<u32>(dims.STRIDE_A_1, dims.STRIDE_B_1);
  }
  if (AXES > 2u) {
    rest /= dims.SIZE_1;
    rows += rest % dims.SIZE_2 * vec2<u32>(dims.STRIDE_A_2, dims.STRIDE_B_2);
  }
  if (AXES > 3u) {
    rest /= dims.SIZE_2;
    rows += rest % dims.SIZE_3 * vec2<u32>(dims.STRIDE_A_3, dims.STRIDE_B_3);
  }
  if (AXES > 4u) {
    rest /= dims.SIZE_3;
    rows += rest % dims.SIZE_4 * vec2<u32>(dims.STRIDE_A_4, dims.STRIDE_B_4);
  }
  return rows;
}

fn apply(left: vec4<f32>, right: vec4<f32>) -> vec4<f32> {
  switch FUNCTION {
    case 0u: { return left + right; }
    case 1u: { return left - right; }
    case 2u: { return left * right; }
    default: { return left / right; }
  }
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let index = threadIndex(group, groups, local, WORKGROUP);
  if (index >= dims.VECTORS) { return; }
  let column = index % dims.PITCH;
  let rows = rowsOf(index / dims.PITCH);
  let inside = insideLanes(column, dims.CHANNELS);
  var right = valueB(rows.y, column);
  // The lanes beyond the last channel hold zeros: 0 / 0 must not arise there.
  if (DIVIDE) { right = select(vec4<f32>(1.0), right, inside); }
  storeY(index, select(vec4<f32>(), apply(valueA(rows.x, column), right), inside));
}
