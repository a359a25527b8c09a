/** A table of the tensors that a model reads: PyTorch's name and shape of each, by layer. */
export type ShapeTable = Map<string, readonly number[]>;

/** weight [out,in] and, unless `bias` is false, bias [out]. */
export function linear(table: ShapeTable, path: string, out: number, input: number, bias = true) {
  table.set(`${path}.weight`, [out, input]);
  if (bias) table.set(`${path}.bias`, [out]);
}

/** weight [out,in,size,size] and bias [out]. */
export function conv(table: ShapeTable, path: string, out: number, input: number, size: number) {
  table.set(`${path}.weight`, [out, input, size, size]);
  table.set(`${path}.bias`, [out]);
}

/** LayerNorm or GroupNorm: weight and bias [width]. */
export function norm(table: ShapeTable, path: string, width: number) {
  table.set(`${path}.weight`, [width]);
  table.set(`${path}.bias`, [width]);
}

/** diffusers' ResnetBlock2D; `timeDim` is null in the VAE. A shortcut only where the width changes. */
export function resnet(
  table: ShapeTable,
  path: string,
  out: number,
  input: number,
  timeDim: number | null,
) {
  norm(table, `${path}.norm1`, input);
  conv(table, `${path}.conv1`, out, input, 3);
  if (timeDim !== null) linear(table, `${path}.time_emb_proj`, out, timeDim);
  norm(table, `${path}.norm2`, out);
  conv(table, `${path}.conv2`, out, out, 3);
  if (input !== out) conv(table, `${path}.conv_shortcut`, out, input, 1);
}
