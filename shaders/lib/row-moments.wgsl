// Moments of rows, that tiles leave beside what they store (MEASURED) and that a later product normalises its left side
// by (NORMED). They lie in pieces of a row, one a tile: [pieces, M / 4, 2], the means of four rows, then their Σ (x - mean)².
// Needs lib/tile and the operands moments (read) and rowMoments (written).

// Of the tile's rows, in fours: means, then factors. Found before the product, whose barriers order it, and whose sums
// would else lie in registers beside it.
var<workgroup> norms: array<vec4<f32>, select(1u, 2u * TILE_QUADS, NORMED)>;

// Pieces merged after Chan, Golub and LeVeque 1979. One thread: four rows. `once` is 1, which no compiler may know: a loop
// that it unrolls has all of its loads in registers, and their number is that of the whole kernel.
fn findNorms(m: u32, local: u32, once: u32) {
  if (!NORMED || local >= TILE_QUADS) { return; }
  let quad = min(m / 4u + local, rowQuads() - 1u);
  let channels = f32(dims.NORM_CHANNELS);
  var mean = vec4<f32>();
  for (var p = 0u; p < dims.NORM_PIECES * once; p++) {
    mean += pieceChannels(p) / channels * loadMoments(2u * (p * rowQuads() + quad));
  }
  var squares = vec4<f32>();
  for (var p = 0u; p < dims.NORM_PIECES * once; p++) {
    let apart = loadMoments(2u * (p * rowQuads() + quad)) - mean;
    squares += loadMoments(2u * (p * rowQuads() + quad) + 1u) + pieceChannels(p) * apart * apart;
  }
  norms[local % TILE_QUADS] = mean;
  norms[TILE_QUADS + local % TILE_QUADS] = 1.0 / sqrt(squares / channels + dims.NORM_EPS);
}

fn pieceChannels(piece: u32) -> f32 {
  return f32(min(4u * dims.NORM_WIDTH, dims.NORM_CHANNELS - 4u * dims.NORM_WIDTH * piece));
}

fn rowQuads() -> u32 {
  return (dims.M + 3u) / 4u;
}

// Σ (x - mean) · factor · w, given Σ x·w, for a row of a quad of the tile; what w's columns add up to lies behind the biases.
fn normalized(sum: vec4<f32>, n: u32, quad: u32, row: u32) -> vec4<f32> {
  if (!NORMED) { return sum; }
  let own = quad % TILE_QUADS;
  return norms[TILE_QUADS + own][row] * (sum - norms[own][row] * loadBias(dims.W_PITCH + n));
}

// Leaves the moments of the tile's rows; `values` are as stored, zeros beyond the last channel.
fn measure(values: ptr<function, Sums>, place: Place, local: u32) {
  let lane = local % THREADS;
  let own = max(threadChannels(place.tile, lane % THREAD_COLUMNS), 1.0);
  var means: array<vec4<f32>, QUADS>;
  var squares: array<vec4<f32>, QUADS>;
  for (var r = 0u; r < 4u * QUADS; r++) {
    var sum = vec4<f32>();
    for (var c = 0u; c < COLUMNS; c++) { sum += values[r][c]; }
    let mean = ((sum.x + sum.y) + (sum.z + sum.w)) / own;
    var square = vec4<f32>();
    for (var c = 0u; c < COLUMNS; c++) {
      let n = place.tile * TILE_COLUMNS + c * THREAD_COLUMNS + lane % THREAD_COLUMNS;
      let apart = keepLanes(values[r][c] - mean, n, dims.N);
      square += apart * apart;
    }
    means[r / 4u][r % 4u] = mean;
    squares[r / 4u][r % 4u] = (square.x + square.y) + (square.z + square.w);
  }
  // Protects the panel, which other threads read until here.
  workgroupBarrier();
  for (var q = 0u; q < QUADS; q++) {
    leftPanel[2u * (q * THREADS + lane)] = means[q];
    leftPanel[2u * (q * THREADS + lane) + 1u] = squares[q];
  }
  // Protects the panel: it has the moments of all threads.
  workgroupBarrier();
  let quad = place.m / 4u + lane;
  if (lane < TILE_QUADS && quad < rowQuads()) { mergeColumns(place.tile, lane % TILE_QUADS, quad); }
}

// Of the threads that share a quad of rows.
fn mergeColumns(tile: u32, own: u32, quad: u32) {
  var count = 0.0;
  var mean = vec4<f32>();
  for (var c = 0u; c < THREAD_COLUMNS; c++) {
    count += threadChannels(tile, c);
    mean += threadChannels(tile, c) * leftPanel[2u * (own * THREAD_COLUMNS + c)];
  }
  mean /= count;
  var squares = vec4<f32>();
  for (var c = 0u; c < THREAD_COLUMNS; c++) {
    let apart = leftPanel[2u * (own * THREAD_COLUMNS + c)] - mean;
    squares += leftPanel[2u * (own * THREAD_COLUMNS + c) + 1u] + threadChannels(tile, c) * apart * apart;
  }
  let at = 2u * (tile * rowQuads() + quad);
  storeRowMoments(at, mean);
  storeRowMoments(at + 1u, squares);
}

// Channels of a row that a thread of a column has.
fn threadChannels(tile: u32, column: u32) -> f32 {
  var count = 0u;
  for (var c = 0u; c < COLUMNS; c++) {
    let first = 4u * (tile * TILE_COLUMNS + c * THREAD_COLUMNS + column);
    count += min(dims.N - min(first, dims.N), 4u);
  }
  return f32(count);
}
