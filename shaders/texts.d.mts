/** The text of each .wgsl file by its stem ("gemm", "lib/grid"); written by tools/shader-texts.mjs. */
export const TEXTS: Readonly<Record<string, string>>;
