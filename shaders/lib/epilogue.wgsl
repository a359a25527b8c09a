// What happens to a finished sum before it is stored: bias, a bias per picture (time embedding), a factor,
// activation, residual. Absent operands load as zero; ACTIVATION is 0 none, 1 silu, 2 gelu (erf),
// 3 gelu by tanh, 4 quick gelu, 5 relu. Needs bias, rowBias and residual among the kernel's operands.
fn epilogue(sum: vec4<f32>, row: u32, column: u32) -> vec4<f32> {
  let biasRow = row / dims.ROWS_PER_BIAS * dims.ROW_BIAS_PITCH + dims.ROW_BIAS_OFFSET;
  let biased = dims.SCALE * (sum + loadBias(column) + loadRowBias(biasRow + column));
  return activate(biased) + loadResidual(row * dims.PITCH + column);
}

fn activate(v: vec4<f32>) -> vec4<f32> {
  switch ACTIVATION {
    case 1u: { return silu4(v); }
    case 2u: { return gelu4(v); }
    case 3u: { return geluTanh4(v); }
    case 4u: { return geluQuick4(v); }
    case 5u: { return relu4(v); }
    default: { return v; }
  }
}
