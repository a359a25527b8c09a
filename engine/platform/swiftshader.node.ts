/**
 * SwiftShader (Vulkan on the CPU) out of the development dependency `@sparticuz/chromium`: the
 * software GPU of a machine where nothing is installed. x64 Linux only.
 */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { homedir, tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { brotliDecompressSync } from "node:zlib";

/**
 * Unpacks SwiftShader once and returns its Vulkan manifest, or undefined where the package is not
 * installed or the platform is another. The Vulkan loader that comes with it is loaded into this
 * process, for a bare machine has none: Dawn then finds it by its name, `libvulkan.so.1`.
 */
export function swiftShaderDriver(): string | undefined {
  const archive = swiftShaderArchive();
  if (archive === undefined) return undefined;
  for (const parent of cacheDirectories()) {
    const directory = unpackOnce(archive, parent);
    if (directory === undefined) continue;
    preload(join(directory, "libvulkan.so.1"));
    return join(directory, "vk_swiftshader_icd.json");
  }
  return undefined;
}

/** The archive inside the package, or undefined where it cannot be used. */
export function swiftShaderArchive(): string | undefined {
  if (process.platform !== "linux" || process.arch !== "x64") return undefined;
  try {
    const entry = createRequire(import.meta.url).resolve("@sparticuz/chromium");
    const archive = join(dirname(entry), "../../bin/swiftshader.tar.br");
    return existsSync(archive) ? archive : undefined;
  } catch {
    return undefined;
  }
}

const FILES = ["libvk_swiftshader.so", "libvulkan.so.1", "vk_swiftshader_icd.json"];

/** Never a shared folder such as /tmp/x: what is unpacked is native code that we then run. */
function* cacheDirectories(): Generator<string> {
  const modules = import.meta.dirname.replace(/(engine|dist.engine).platform$/, "node_modules");
  if (existsSync(modules)) yield join(modules, ".cache/wgsl-diffusion");
  yield join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "wgsl-diffusion");
  yield mkdtempSync(join(tmpdir(), "wgsl-diffusion-"));
}

/** The folder with the unpacked files, or undefined where nothing can be written. */
function unpackOnce(archive: string, parent: string): string | undefined {
  // The archive's size names the version well enough: another release is another size.
  const directory = join(parent, `swiftshader-${readFileSync(archive).length}`);
  if (FILES.every((name) => existsSync(join(directory, name)))) return directory;
  try {
    mkdirSync(parent, { recursive: true });
    const fresh = mkdtempSync(`${directory}.`);
    for (const [name, data] of tarFiles(brotliDecompressSync(readFileSync(archive))))
      if (FILES.includes(name)) writeFileSync(join(fresh, name), data, { mode: 0o755 });
    adopt(fresh, directory);
  } catch {
    return undefined;
  }
  return FILES.every((name) => existsSync(join(directory, name))) ? directory : undefined;
}

/** Gives `fresh` its name, unless another process was first. */
function adopt(fresh: string, directory: string): void {
  try {
    renameSync(fresh, directory);
  } catch {
    rmSync(fresh, { recursive: true, force: true });
  }
}

/**
 * The regular files of a ustar archive, by base name. By hand (a header of 512 bytes: name at 0,
 * octal size at 124, type at 156) because the npm readers are streams and this must be there
 * before Dawn's first call.
 */
export function* tarFiles(tar: Uint8Array): Generator<[name: string, data: Uint8Array]> {
  const text = (from: number, length: number) =>
    Buffer.from(tar.subarray(from, from + length))
      .toString("latin1")
      .replace(/\0.*$/s, "");
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0; ) {
    const size = Number.parseInt(text(at + 124, 12), 8);
    if (!Number.isSafeInteger(size)) throw new Error(`tar: bad size at byte ${at}`);
    const type = text(at + 156, 1);
    if (type === "" || type === "0")
      yield [basename(text(at, 100)), tar.subarray(at + 512, at + 512 + size)];
    at += 512 + Math.ceil(size / 512) * 512;
  }
}

/**
 * dlopen with RTLD_NODELETE, so that the library stays although Node finds no addon in it and
 * closes it again with an error.
 */
function preload(library: string): void {
  const RTLD_NOW = 2;
  const RTLD_NODELETE = 0x1000;
  try {
    process.dlopen({ exports: {} }, library, RTLD_NOW | RTLD_NODELETE);
  } catch {
    // "Module did not self-register" is the expected answer.
  }
}
