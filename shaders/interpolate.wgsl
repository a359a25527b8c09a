// y[b, i, j, c] = Σ_m Σ_n w_m(i) · w_n(j) · x[b, m, n, c] over TAPS² neighbours, the border repeated.
// One thread: four channels of one pixel.
@group(0) @binding(0) var<storage, read> x: array<X>;        // [batch, FROM_HEIGHT, FROM_WIDTH, channels]
@group(0) @binding(1) var<storage, read_write> y: array<Y>;  // [batch, TO_HEIGHT, TO_WIDTH, channels]

struct Neighbours {
  first: i32,
  weight: vec4<f32>,
}

// Keys 1981 with a = -0.75: |t| < 1 and 1 <= |t| < 2.
fn near(t: f32) -> f32 { return (1.25 * t - 2.25) * t * t + 1.0; }
fn far(t: f32) -> f32 { return ((-0.75 * t + 3.75) * t - 6.0) * t + 3.0; }

fn neighbours(i: u32, scale: f32) -> Neighbours {
  if (TAPS == 1u) { return Neighbours(i32(floor(f32(i) * scale)), vec4<f32>(1.0, 0.0, 0.0, 0.0)); }
  var position = f32(i) * scale;
  if (!ALIGN_CORNERS) { position = (f32(i) + 0.5) * scale - 0.5; }
  if (TAPS == 2u) { position = max(position, 0.0); }
  let t = position - floor(position);
  let first = i32(floor(position));
  if (TAPS == 2u) { return Neighbours(first, vec4<f32>(1.0 - t, t, 0.0, 0.0)); }
  return Neighbours(first - 1, vec4<f32>(far(1.0 + t), near(t), near(1.0 - t), far(2.0 - t)));
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
  let pixel = index / dims.PITCH;
  let row = pixel / dims.TO_WIDTH;
  let vertical = neighbours(row % dims.TO_HEIGHT, dims.SCALE_Y);
  let horizontal = neighbours(pixel % dims.TO_WIDTH, dims.SCALE_X);
  let picture = row / dims.TO_HEIGHT * dims.FROM_HEIGHT;
  var sum = vec4<f32>();
  for (var m = 0u; m < TAPS; m++) {
    let line = picture + u32(clamp(vertical.first + i32(m), 0, i32(dims.FROM_HEIGHT) - 1));
    var across = vec4<f32>();
    for (var n = 0u; n < TAPS; n++) {
      let j = u32(clamp(horizontal.first + i32(n), 0, i32(dims.FROM_WIDTH) - 1));
      across += horizontal.weight[n] * loadX((line * dims.FROM_WIDTH + j) * dims.PITCH + column);
    }
    sum += vertical.weight[m] * across;
  }
  storeY(index, sum);
}
