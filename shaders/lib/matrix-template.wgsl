// Matrices in workgroup and storage memory, with the layout as a template argument. An element of the pool is eight
// halves or four sums; offsets and strides count elements.
var<workgroup> pool: array<vec4<u32>, POOL>;

fn writeEight(at: u32, v: vec4<u32>) { pool[at] = v; }
fn readSums(at: u32) -> vec4<f32> { return bitcast<vec4<f32>>(pool[at]); }
fn writeSums(at: u32, v: vec4<f32>) { pool[at] = bitcast<vec4<u32>>(v); }

fn leftAt(at: u32, stride: u32) -> LeftMatrix { return subgroupMatrixLoad<LeftMatrix, row_major>(&pool, at, stride); }
fn rightAt(at: u32, stride: u32) -> RightMatrix { return subgroupMatrixLoad<RightMatrix, row_major>(&pool, at, stride); }
// The right side as it lies transposed: its columns are rows of the pool.
fn columnsAt(at: u32, stride: u32) -> RightMatrix { return subgroupMatrixLoad<RightMatrix, col_major>(&pool, at, stride); }
fn resultAt(at: u32, stride: u32) -> ResultMatrix { return subgroupMatrixLoad<ResultMatrix, row_major>(&pool, at, stride); }
fn storeResult(at: u32, stride: u32, m: ResultMatrix) { subgroupMatrixStore<row_major>(&pool, at, m, stride); }
