// What the halves of m [(1 + CONDITIONS)·B, h, w, 4] say together at one pixel of all pictures, the
// unconditional half first. Needs m and weights among the kernel's operands, and dims.PLANE = B·h·w.
struct Guided {
  condition: vec4<f32>,  // at scale 1: of a single condition it is that condition, to the last bit
  value: vec4<f32>,      // u + scale·Σ wᵢ·(cᵢ − u); weights that are absent are 1
}

fn guidedAt(pixel: u32, scale: f32) -> Guided {
  let u = loadM(pixel);
  var difference = vec4<f32>();
  for (var i = 0u; i < CONDITIONS; i++) {
    let weight = select(1.0, elementWeights(i), WEIGHTED);
    difference += weight * (loadM((1u + i) * dims.PLANE + pixel) - u);
  }
  var condition = u + difference;
  if (CONDITIONS == 1u && !WEIGHTED) { condition = loadM(dims.PLANE + pixel); }
  return Guided(condition, select(u + scale * difference, condition, scale == 1.0));
}
