// A tile of a matrix product: THREAD_ROWS x THREAD_COLUMNS threads, each with 4·QUADS rows of COLUMNS vec4s.
// A panel of 4·DEPTH terms of both sides lies in workgroup memory as f32; the next is on its way from storage to
// registers, packed as it is stored, while this one is multiplied. The kernel says where the left side
// comes from: `struct Left` is what a thread knows of its four rows, `loadLeft(left, k, lane)` their vec4s k + lane,
// where k is the same for all threads.
const THREADS = THREAD_ROWS * THREAD_COLUMNS;
const TILE_QUADS = THREAD_ROWS * QUADS;        // rows, in fours
const TILE_COLUMNS = THREAD_COLUMNS * COLUMNS; // columns, in vec4s
const WEIGHTS = 4 * DEPTH * TILE_COLUMNS / THREADS;

// Four rows of one term to a vec4, at (term % 4, row / 4, term / 4): threads write neighbouring vec4s, and each
// reads at constant distances from one place.
var<workgroup> leftPanel: array<vec4<f32>, 4 * TILE_QUADS * DEPTH>;
var<workgroup> rightPanel: array<vec4<f32>, 4 * DEPTH * TILE_COLUMNS>;

alias Sums = array<array<vec4<f32>, COLUMNS>, 4 * QUADS>;

struct Place {
  slice: u32,   // product of a batch, or slice of the sum
  m: u32,       // first row
  tile: u32,    // tile of columns
  spare: bool,  // where the grid is folded there are workgroups too many: they repeat others' work, unstored
}

fn placeOf(index: u32) -> Place {
  let tiles = dims.ROW_TILES * dims.COLUMN_TILES;
  let slice = index / tiles;
  let row = index / dims.COLUMN_TILES % dims.ROW_TILES;
  return Place(min(slice, dims.SLICES - 1u), row * 4u * TILE_QUADS, index % dims.COLUMN_TILES, slice >= dims.SLICES);
}

// The four rows whose left side this thread brings.
fn leftRows(m: u32, local: u32) -> vec4<u32> {
  let first = m + 4u * (local / DEPTH);
  return min(vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(dims.M - 1u));
}

// Four rows' k-th vec4s as they lie, and whether they count; the others are zeros, but only when they are
// unpacked: until then nothing waits for them.
struct Block { rows: array<X, 4>, inside: vec4<bool> }

// Σ over K4 vec4s of the left side; w0 is where the column that this thread brings starts.
fn product(left: Left, w0: u32, local: u32) -> Sums {
  let lane = local % THREADS;  // the same; a compiler sees that it is within the panels
  let row = lane / TILE_COLUMNS;
  let last = (dims.K4 - 1u) / DEPTH * DEPTH;
  var sums: Sums;
  var a = loadLeft(left, 0u, lane % DEPTH);
  var b = loadRight(w0, 0u, row);
  for (var k = 0u; k < dims.K4; k += DEPTH) {
    // Protects both panels, which other threads read until here.
    workgroupBarrier();
    storeLeft(a, lane);
    for (var i = 0u; i < WEIGHTS; i++) { rightPanel[i * THREADS + lane] = unpackW(b[i]); }
    // Protects both panels: they are whole.
    workgroupBarrier();
    // The last panel is loaded once more: without a branch the loads stay in flight.
    let next = min(k + DEPTH, last);
    a = loadLeft(left, next, lane % DEPTH);
    b = loadRight(w0, next, row);
    multiply(&sums, lane / THREAD_COLUMNS, lane % THREAD_COLUMNS);
  }
  return sums;
}

fn storeLeft(block: Block, lane: u32) {
  let rows = transpose(mat4x4<f32>(
    select(vec4<f32>(), unpackX(block.rows[0]), block.inside[0]),
    select(vec4<f32>(), unpackX(block.rows[1]), block.inside[1]),
    select(vec4<f32>(), unpackX(block.rows[2]), block.inside[2]),
    select(vec4<f32>(), unpackX(block.rows[3]), block.inside[3]),
  ));
  for (var j = 0u; j < 4u; j++) { leftPanel[j * THREADS + lane] = rows[j]; }
}

// WEIGHTS rows of a panel, from the given one on.
fn loadRight(w0: u32, k: u32, row: u32) -> array<W, WEIGHTS> {
  var b: array<W, WEIGHTS>;
  for (var i = 0u; i < WEIGHTS; i++) {
    var at = w0 + row * dims.W_PITCH + (4u * k + i * (THREADS / TILE_COLUMNS)) * dims.W_PITCH;
    if (dims.K4 % DEPTH != 0u) {
      at = w0 + min(4u * k + i * (THREADS / TILE_COLUMNS) + row, 4u * dims.K4 - 1u) * dims.W_PITCH;
    }
    b[i] = w[at];
  }
  return b;
}

fn multiply(sums: ptr<function, Sums>, threadRow: u32, threadColumn: u32) {
  let row = threadRow % THREAD_ROWS;
  let column = threadColumn % THREAD_COLUMNS;
  for (var k = 0u; k < DEPTH; k++) {
    for (var j = 0u; j < 4u; j++) {
      var b: array<vec4<f32>, COLUMNS>;
      for (var c = 0u; c < COLUMNS; c++) {
        b[c] = rightPanel[(4u * k + j) * TILE_COLUMNS + c * THREAD_COLUMNS + column];
      }
      for (var q = 0u; q < QUADS; q++) {
        let a = leftPanel[(j * TILE_QUADS + q * THREAD_ROWS + row) * DEPTH + k];
        for (var c = 0u; c < COLUMNS; c++) {
          sums[4u * q][c] += a.x * b[c];
          sums[4u * q + 1u][c] += a.y * b[c];
          sums[4u * q + 2u][c] += a.z * b[c];
          sums[4u * q + 3u][c] += a.w * b[c];
        }
      }
    }
  }
}
