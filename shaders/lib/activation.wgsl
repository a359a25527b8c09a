// Activation functions on four channels. No exp here can overflow, whatever x is: WGSL lets a compiler
// assume that there are no infinities.

fn sigmoid4(x: vec4<f32>) -> vec4<f32> {
  let e = exp(-abs(x));
  return select(vec4<f32>(1.0), e, x < vec4<f32>()) / (1.0 + e);
}

fn silu4(x: vec4<f32>) -> vec4<f32> {
  return x * sigmoid4(x);
}

// exp(z²)·erfc(z) for z in 0..9.5 (beyond, erfc is 0 in f32) as a polynomial in t = 1 / (1 + 0.3 z),
// after the form of Abramowitz and Stegun 7.1.26; coefficients by Lawson's iteration, relative error 2e-8.
fn scaledErfc4(z: vec4<f32>) -> vec4<f32> {
  let t = 1.0 / (1.0 + 0.3 * z);
  var p = vec4<f32>(-0.12945843);
  p = p * t + 0.48522443;
  p = p * t - 0.51151478;
  p = p * t + 0.54675835;
  p = p * t - 0.09391086;
  p = p * t + 0.21457066;
  p = p * t + 0.14844310;
  p = p * t + 0.17069833;
  p = p * t + 0.16918917;
  return p * t;
}

// x·Φ(x), Φ(x) = erfc(-x/√2) / 2; by way of erfc the small values below x = -3 keep their digits.
fn gelu4(x: vec4<f32>) -> vec4<f32> {
  let z = min(abs(x) * 0.70710678, vec4<f32>(12.0));
  let tail = 0.5 * exp(-z * z) * scaledErfc4(z);
  return x * select(1.0 - tail, tail, x < vec4<f32>());
}

// x/2·(1 + tanh(√(2/π)(x + 0.044715 x³))), and (1 + tanh u)/2 = sigmoid(2u). Beyond 20 it is 0 or 1.
fn geluTanh4(x: vec4<f32>) -> vec4<f32> {
  let c = clamp(x, vec4<f32>(-20.0), vec4<f32>(20.0));
  return x * sigmoid4(1.59576912 * (c + 0.044715 * c * c * c));
}

fn geluQuick4(x: vec4<f32>) -> vec4<f32> {
  return x * sigmoid4(1.702 * clamp(x, vec4<f32>(-1e30), vec4<f32>(1e30)));
}

fn relu4(x: vec4<f32>) -> vec4<f32> {
  return max(x, vec4<f32>());
}
