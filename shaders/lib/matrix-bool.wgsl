// Matrices in workgroup and storage memory, with the layout as a bool (column-major or not). Memory is of the
// matrix's own type, so halves and sums lie apart; offsets and strides count eights and fours as in matrix-template.
var<workgroup> halves: array<f16, 8u * POOL>;
var<workgroup> floats: array<f32, 4u * POOL>;

fn writeEight(at: u32, v: vec4<u32>) {
  for (var i = 0u; i < 4u; i++) {
    let pair = bitcast<vec2<f16>>(v[i]);
    halves[8u * at + 2u * i] = pair.x;
    halves[8u * at + 2u * i + 1u] = pair.y;
  }
}
fn readSums(at: u32) -> vec4<f32> {
  return vec4<f32>(floats[4u * at], floats[4u * at + 1u], floats[4u * at + 2u], floats[4u * at + 3u]);
}
fn writeSums(at: u32, v: vec4<f32>) { for (var i = 0u; i < 4u; i++) { floats[4u * at + i] = v[i]; } }

fn leftAt(at: u32, stride: u32) -> LeftMatrix { return subgroupMatrixLoad<LeftMatrix>(&halves, 8u * at, false, 8u * stride); }
fn rightAt(at: u32, stride: u32) -> RightMatrix { return subgroupMatrixLoad<RightMatrix>(&halves, 8u * at, false, 8u * stride); }
// The right side as it lies transposed: its columns are rows of the pool.
fn columnsAt(at: u32, stride: u32) -> RightMatrix { return subgroupMatrixLoad<RightMatrix>(&halves, 8u * at, true, 8u * stride); }
fn resultAt(at: u32, stride: u32) -> ResultMatrix { return subgroupMatrixLoad<ResultMatrix>(&floats, 4u * at, false, 4u * stride); }
fn storeResult(at: u32, stride: u32, m: ResultMatrix) { subgroupMatrixStore(&floats, 4u * at, m, false, 4u * stride); }
