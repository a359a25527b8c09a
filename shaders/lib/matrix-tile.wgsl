// A tile of a matrix product on matrix units: SUBGROUP_ROWS x SUBGROUP_COLUMNS subgroups, each with DOWN x ACROSS
// fragments of UNIT_M x UNIT_N sums. A panel of PANEL terms of the left side lies in workgroup memory while the next
// is on its way from storage to registers (two panels in workgroup memory save a barrier, but then each address is
// made anew in each round, or has a register of its own); the right side's fragments are read from storage as they are
// needed, those of the next step while this one multiplies. The kernel says where the left side comes from: `Left` is
// what a thread knows of its rows, `leftOf(place, local)` makes it, `loadLeft(left, panel, piece, column)` gives eight halves of a row;
// and what becomes of the sums: `finish(at, place, m, column)` for each four of a row, where `column` counts fours
// from the subgroup's first, and `weightFragment(place, c)` is which fragment of the right side is the c-th.
const THREADS = SUBGROUP_ROWS * SUBGROUP_COLUMNS * SUBGROUP;
const TILE_ROWS = SUBGROUP_ROWS * DOWN * UNIT_M;
const PANEL_EIGHTS = PANEL / 8;
const STRIDE = PANEL_EIGHTS + 1;                // one more, so that rows start in different banks
const ROWS_AT_ONCE = THREADS / PANEL_EIGHTS;
const PIECES = TILE_ROWS / ROWS_AT_ONCE;        // that a thread brings for a panel
const STEPS = PANEL / UNIT_K;
const SUM_FOURS = ACROSS * UNIT_N / 4;
const SUM_STRIDE = SUM_FOURS + 1;

alias Sums = array<array<ResultMatrix, ACROSS>, DOWN>;
alias Rights = array<RightMatrix, ACROSS>;
alias Pieces = array<vec4<u32>, PIECES>;

struct Place {
  slice: u32,     // product of a batch, or slice of the sum
  m: u32,         // first row
  tile: u32,      // tile of columns
  row: u32,       // the subgroup's place in the tile
  column: u32,
  spare: bool,    // where the grid is folded there are workgroups too many: they repeat others' work, unstored
}

fn placeOf(index: u32, local: u32) -> Place {
  let tiles = dims.ROW_TILES * dims.COLUMN_TILES;
  let slice = index / tiles;
  let subgroup = local / SUBGROUP % (SUBGROUP_ROWS * SUBGROUP_COLUMNS);
  return Place(
    min(slice, dims.SLICES - 1u),
    index / dims.COLUMN_TILES % dims.ROW_TILES * TILE_ROWS,
    index % dims.COLUMN_TILES,
    subgroup / SUBGROUP_COLUMNS,
    subgroup % SUBGROUP_COLUMNS,
    slice >= dims.SLICES,
  );
}

// The row of the i-th piece that a thread brings.
fn pieceRow(i: u32, local: u32) -> u32 { return i * ROWS_AT_ONCE + local % THREADS / PANEL_EIGHTS; }

fn loadPieces(left: Left, panel: u32, local: u32) -> Pieces {
  var pieces: Pieces;
  for (var i = 0u; i < PIECES; i++) { pieces[i] = loadLeft(left, panel, i, local % PANEL_EIGHTS); }
  return pieces;
}

fn storePieces(pieces: Pieces, local: u32) {
  for (var i = 0u; i < PIECES; i++) {
    writeEight(pieceRow(i, local) * STRIDE + local % PANEL_EIGHTS, pieces[i]);
  }
}

// Σ over PANELS panels from `first` on; the slice of a batch starts at w0 of the right side.
fn product(left: Left, place: Place, first: u32, w0: u32, local: u32) -> Sums {
  var sums: Sums;
  var columns: array<u32, ACROSS>;
  for (var c = 0u; c < ACROSS; c++) { columns[c] = w0 + weightFragment(place, c) * dims.W_ACROSS; }
  var down = first * STEPS * dims.W_DOWN;
  let end = down + (dims.PANELS * STEPS - 1u) * dims.W_DOWN;
  var right = loadRights(columns, down);
  storePieces(loadPieces(left, first, local), local);
  // Protects the first panel: it is whole.
  workgroupBarrier();
  let row = place.row * DOWN * UNIT_M * STRIDE;
  for (var p = 0u; p < dims.PANELS; p++) {
    // The last panel, and the last fragments, are loaded once more: without a branch the loads stay in flight.
    let next = loadPieces(left, first + min(p + 1u, dims.PANELS - 1u), local);
    for (var step = 0u; step < STEPS; step++) {
      down = min(down + dims.W_DOWN, end);
      let nextRight = loadRights(columns, down);
      for (var r = 0u; r < DOWN; r++) {
        let a = leftAt(row + r * UNIT_M * STRIDE + step * (UNIT_K / 8), STRIDE);
        for (var c = 0u; c < ACROSS; c++) { sums[r][c] = subgroupMatrixMultiplyAccumulate(a, right[c], sums[r][c]); }
      }
      right = nextRight;
    }
    // Protects the panel, which is read until here.
    workgroupBarrier();
    storePieces(next, local);
    // Protects the panel: it is whole.
    workgroupBarrier();
  }
  return sums;
}

fn loadRights(columns: array<u32, ACROSS>, down: u32) -> Rights {
  var right: Rights;
  for (var c = 0u; c < ACROSS; c++) { right[c] = storedRightAt(columns[c] + down, dims.W_STRIDE); }
  return right;
}

// Each subgroup's sums through its own part of the pool, a row of fragments at a time.
fn finishAll(sums: Sums, place: Place, local: u32) {
  let own = (place.row * SUBGROUP_COLUMNS + place.column) * UNIT_M * SUM_STRIDE;
  for (var r = 0u; r < DOWN; r++) {
    for (var c = 0u; c < ACROSS; c++) { storeResult(own + c * (UNIT_N / 4), SUM_STRIDE, sums[r][c]); }
    // Protects the pool: the sums are there.
    workgroupBarrier();
    for (var i = 0u; i < UNIT_M * SUM_FOURS / SUBGROUP; i++) {
      let index = i * SUBGROUP + local % SUBGROUP;
      let row = index / SUM_FOURS;
      let column = index % SUM_FOURS;
      let m = place.m + (place.row * DOWN + r) * UNIT_M + row;
      if (m < dims.M && !place.spare) { finish(own + row * SUM_STRIDE + column, place, m, column); }
    }
    // Protects the pool, which is read until here.
    workgroupBarrier();
  }
}
