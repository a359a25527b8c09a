// y[b, g] = the value of rank BELOW + WEIGHT among |x − centre| of group g of picture b, between neighbours
// linearly: torch.quantile. Floats that are not negative have the order of their bits, so the value is found byte
// by byte, by counting; counts come out the same in whatever order they are made. One workgroup: one group.
@group(0) @binding(0) var<storage, read> x: array<X>;              // [B, h, w, 4]
@group(0) @binding(1) var<storage, read> centres: array<Centres>;  // [B, GROUPS, 2]: centre first
@group(0) @binding(2) var<storage, read> table: array<Table>;      // [steps, 8], see guidance.ts
@group(0) @binding(3) var<storage, read> step: array<Step>;        // [1]
@group(0) @binding(4) var<storage, read_write> y: array<Y>;        // [B, GROUPS, 1]

struct Search { bits: u32, rank: u32, equal: u32 }

var<workgroup> counts: array<atomic<u32>, WORKGROUP>;
// The bytes found so far, the rank among what begins with them, and how many do.
var<workgroup> search: Search;
var<workgroup> next: atomic<u32>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(num_workgroups) groups: vec3<u32>,
  @builtin(local_invocation_index) local: u32,
) {
  let index = group.y * groups.x + group.x;
  if (index >= dims.TOTAL) { return; }
  let start = index / GROUPS * dims.PICTURE + index % GROUPS;
  let centre = loadCentres(index).x;
  let rank = loadTable(2u * u32(elementStep(0u)) + 1u).zw;
  if (local == 0u) {
    search = Search(0u, min(u32(rank.x), dims.COUNT - 1u), 0u);
    atomicStore(&next, 0xffffffffu);
  }
  for (var byte = 0u; byte < 4u; byte++) {
    let shift = 24u - 8u * byte;
    atomicStore(&counts[local], 0u);
    // Protects the emptied counters, and search, which thread 0 wrote.
    workgroupBarrier();
    for (var i = local; i < dims.COUNT; i += WORKGROUP) {
      let rest = (bitsOf(start + GROUPS * i, centre) ^ search.bits) >> shift;
      // The bytes before are those found; the bytes of search.bits from here on are still zero.
      if (rest < 256u) { atomicAdd(&counts[rest], 1u); }
    }
    // Protects the counts.
    workgroupBarrier();
    if (local == 0u) { choose(shift); }
    // Protects the counters, which thread 0 reads, from being emptied, and search.
    workgroupBarrier();
  }

  var least = 0xffffffffu;
  for (var i = local; i < dims.COUNT; i += WORKGROUP) {
    let bits = bitsOf(start + GROUPS * i, centre);
    if (bits > search.bits) { least = min(least, bits); }
  }
  atomicMin(&next, least);
  // Protects the least of the larger values.
  workgroupBarrier();
  if (local == 0u) { storeY(index, vec4<f32>(between(rank.y), 0.0, 0.0, 0.0)); }
}

fn bitsOf(at: u32, centre: f32) -> u32 {
  return bitcast<u32>(elementX(at) - centre) & 0x7fffffffu;
}

// The next byte is the one at whose values the rank lies.
fn choose(shift: u32) {
  var before = 0u;
  for (var value = 0u; value < 256u; value++) {
    let count = atomicLoad(&counts[value]);
    if (search.rank < before + count) {
      search = Search(search.bits | (value << shift), search.rank - before, count);
      return;
    }
    before += count;
  }
}

// Between the value found and the one with the next rank, which may be an equal one or none.
fn between(weight: f32) -> f32 {
  let below = bitcast<f32>(search.bits);
  let larger = atomicLoad(&next);
  let last = search.rank + 1u < search.equal || larger == 0xffffffffu;
  let above = select(bitcast<f32>(larger), below, last);
  return below + weight * (above - below);
}
