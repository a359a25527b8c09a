// y[i, c] = a[i·STRIDE_A, c] ∘ b[i·STRIDE_B, c], where a last axis of 1 is repeated. One thread: four channels.
@group(0) @binding(0) var<storage, read> a: array<A>;        // rows of CHANNELS, or of 1 (SPLAT_A)
@group(0) @binding(1) var<storage, read> b: array<B>;        // rows of CHANNELS, or of 1 (SPLAT_B)
@group(0) @binding(2) var<storage, read_write> y: array<Y>;  // [SIZE, CHANNELS]

fn valueA(row: u32, column: u32) -> vec4<f32> {
  if (SPLAT_A) { return vec4<f32>(elementA(4u * row)); }
  return loadA(row * PITCH + column);
}

fn valueB(row: u32, column: u32) -> vec4<f32> {
  if (SPLAT_B) { return vec4<f32>(elementB(4u * row)); }
  return loadB(row * PITCH + column);
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
  if (index >= VECTORS) { return; }
  let column = index % PITCH;
  var rest = index / PITCH;
  var rowA = 0u;
  var rowB = 0u;
  for (var axis = AXES; axis > 0u; axis--) {
    let i = rest % SIZE[axis - 1u];
    rest /= SIZE[axis - 1u];
    rowA += i * STRIDE_A[axis - 1u];
    rowB += i * STRIDE_B[axis - 1u];
  }
  let inside = insideLanes(column, CHANNELS);
  var right = valueB(rowB, column);
  // The lanes beyond the last channel hold zeros: 0 / 0 must not arise there.
  if (DIVIDE) { right = select(vec4<f32>(1.0), right, inside); }
  storeY(index, select(vec4<f32>(), apply(valueA(rowA, column), right), inside));
}
