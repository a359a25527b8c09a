import type { TextConfig } from "../config/text.ts";
import { linear, norm, type ShapeTable } from "./table.ts";

/** The tensors of a CLIP text transformer, without the prefix `text_model.`. */
export function expectedText(config: TextConfig): ShapeTable {
  const { vocabSize, hiddenSize, maxPositionEmbeddings, numHiddenLayers } = config;
  const table: ShapeTable = new Map();
  table.set("embeddings.token_embedding.weight", [vocabSize, hiddenSize]);
  table.set("embeddings.position_embedding.weight", [maxPositionEmbeddings, hiddenSize]);
  for (let i = 0; i < numHiddenLayers; i++) layer(table, `encoder.layers.${i}`, config);
  norm(table, "final_layer_norm", hiddenSize);
  return table;
}

function layer(table: ShapeTable, path: string, { hiddenSize, intermediateSize }: TextConfig) {
  norm(table, `${path}.layer_norm1`, hiddenSize);
  for (const name of ["q_proj", "k_proj", "v_proj", "out_proj"]) {
    linear(table, `${path}.self_attn.${name}`, hiddenSize, hiddenSize);
  }
  norm(table, `${path}.layer_norm2`, hiddenSize);
  linear(table, `${path}.mlp.fc1`, intermediateSize, hiddenSize);
  linear(table, `${path}.mlp.fc2`, hiddenSize, intermediateSize);
}
