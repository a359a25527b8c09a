/** What people hand over in place of a safetensors file, told by its first bytes. */

export interface FileKind {
  readonly what: string;
  readonly hint: string;
}

interface Signature extends FileKind {
  /** The first bytes, or a pattern over them read as text without leading space. */
  readonly starts: readonly number[] | RegExp;
}

/** The script opens tensors only (torch.load, weights_only=True). */
export const CONVERT =
  "convert it without running what it holds: python tools/reference/ckpt_to_safetensors.py model.ckpt";
const DOWNLOAD = "download the file itself: `wgsl-diffusion download`, or the hub's /resolve/ link";
const UNPACK = "unpack it first";
const PICKLE = {
  what: "a Python pickle: an old PyTorch checkpoint, which may run code when it is opened",
  hint: CONVERT,
};

const SIGNATURES: readonly Signature[] = [
  {
    starts: /^version https:\/\/git-lfs/,
    what: "a Git LFS pointer, not the file that it stands for",
    hint: `run \`git lfs pull\`, or ${DOWNLOAD}`,
  },
  {
    starts: /^<(?:!doctype|html|head|body|\?xml|!--)/i,
    what: "an HTML page, most often an error or login page saved under the file's name",
    hint: DOWNLOAD,
  },
  {
    starts: [0x50, 0x4b, 0x03, 0x04],
    what: "a zip archive: a PyTorch checkpoint (.ckpt, .bin, .pt), which may run code when opened",
    hint: CONVERT,
  },
  { starts: [0x80, 0x02], ...PICKLE },
  { starts: [0x80, 0x04], ...PICKLE },
  { starts: [0x1f, 0x8b], what: "gzip data", hint: UNPACK },
  { starts: [0x28, 0xb5, 0x2f, 0xfd], what: "zstd data", hint: UNPACK },
  { starts: [0x47, 0x47, 0x55, 0x46], what: "a GGUF file", hint: `it cannot be read; ${DOWNLOAD}` },
  {
    starts: [0x89, 0x48, 0x44, 0x46],
    what: "an HDF5 file (Keras weights)",
    hint: `it cannot be read; ${DOWNLOAD}`,
  },
  { starts: /^\{\s*"/, what: "JSON text, not tensors", hint: "name the .safetensors file" },
];

/** The kind of a file that is not safetensors, or undefined if its first bytes say nothing. */
export function recogniseFile(head: Uint8Array): FileKind | undefined {
  const text = new TextDecoder().decode(head.subarray(0, 512)).trimStart();
  return SIGNATURES.find(({ starts }) =>
    starts instanceof RegExp ? starts.test(text) : starts.every((byte, i) => head[i] === byte),
  );
}
