/** Finding something to run on, in processes of their own: the driver is chosen once a process. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { dawnLoadError, lavapipeDriver } from "../../../engine/platform/dawn.node.ts";
import { dawnReasons, describeAdapters } from "../../../engine/platform/describe.node.ts";
import { swiftShaderArchive, tarFiles } from "../../../engine/platform/swiftshader.node.ts";

const root = join(import.meta.dirname, "../../..");

/** What `loadWebGPU(options)` finds in a process with these variables: a description, or a code. */
function found(
  options: object,
  env: NodeJS.ProcessEnv = {},
  prefix: readonly string[] = [],
): string {
  const module = pathToFileURL(join(root, "engine/platform/dawn.node.ts"));
  const program = `
    const { loadWebGPU } = await import("${module}");
    try {
      const gpu = await loadWebGPU(${JSON.stringify(options)});
      const adapter = await gpu.requestAdapter();
      const device = await adapter.requestDevice();
      const buffer = device.createBuffer({ size: 16, usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST });
      device.queue.writeBuffer(buffer, 0, new Uint32Array([1, 2, 3, 4]));
      await buffer.mapAsync(GPUMapMode.READ);
      const sum = new Uint32Array(buffer.getMappedRange()).reduce((a, b) => a + b);
      console.log(adapter.info.description + adapter.info.device, sum, process.env.VK_DRIVER_FILES);
      device.destroy();
    } catch (error) {
      console.log(error.code ?? error.stack);
    }`;
  const command = [
    ...prefix,
    process.execPath,
    "--import",
    "tsx",
    "--input-type=module",
    "-e",
    program,
  ];
  const { WGSL_DIFFUSION_ADAPTER: _, ...inherited } = process.env;
  const { stdout, status } = spawnSync(command[0] as string, command.slice(1), {
    ...{ cwd: root, encoding: "utf8" },
    env: { ...inherited, ...env },
  });
  assert.equal(status, 0);
  return stdout.trim();
}

describe("loadWebGPU", () => {
  const hasSwiftShader = swiftShaderArchive() !== undefined;

  it("unpacks SwiftShader and computes on it, and leaves the environment as it was", function () {
    if (!hasSwiftShader) this.skip();
    assert.match(found({ adapter: "swiftshader" }), /SwiftShader.* 10 undefined$/);
    assert.match(found({}, { WGSL_DIFFUSION_ADAPTER: "swiftshader" }), /SwiftShader/);
  });

  it("takes lavapipe where it is asked for", function () {
    if (!lavapipeDriver()) this.skip();
    assert.match(found({ adapter: "lavapipe" }), /llvmpipe/);
    assert.match(found({}, { WGSL_DIFFUSION_ADAPTER: "lavapipe" }), /llvmpipe/);
  });

  it("falls back to SwiftShader on a machine with no driver at all", function () {
    if (!hasSwiftShader) this.skip();
    assert.match(found({}, { VK_DRIVER_FILES: "/none" }), /SwiftShader.* 10 \/none$/);
  });

  it("needs no Vulkan loader of the system's", function () {
    const hide =
      "mount --bind /dev/null $(ldconfig -p | sed -n 's/.*libvulkan.so.1 (.*x86-64.* => //p' | head -n 1)";
    if (!hasSwiftShader || spawnSync("unshare", ["-m", "sh", "-c", hide]).status !== 0) this.skip();
    const prefix = ["unshare", "-m", "sh", "-c", `${hide}; exec "$@"`, "sh"];
    assert.match(found({}, {}, prefix), /SwiftShader/);
  });

  it("refuses a kind that is not there, or not known", () => {
    const none = { VK_DRIVER_FILES: "/none" };
    assert.equal(found({ adapter: "hardware" }, none), "NO_ADAPTER");
    assert.equal(found({}, { ...none, WGSL_DIFFUSION_ADAPTER: "hardware" }), "NO_ADAPTER");
    assert.equal(found({}, { WGSL_DIFFUSION_ADAPTER: "cuda" }), "BAD_REQUEST");
  });

  it("gives Dawn's null backend without any driver", () => {
    assert.match(found({ backend: "null" }, { VK_DRIVER_FILES: "/none" }), /null/i);
  });

  it("tells a missing package from a binary that does not load", () => {
    const missing = dawnLoadError(new Error("Cannot find package 'webgpu' imported from x"));
    assert.equal(missing.code, "NO_WEBGPU");
    assert.match(missing.hint ?? "", /npm i webgpu/);
    const old = "libc.so.6: version `GLIBC_2.34' not found (required by dawn.node)\nRequire stack";
    const native = dawnLoadError(Object.assign(new Error(old), { code: "ERR_DLOPEN_FAILED" }));
    assert.equal(native.code, "NATIVE_LOAD");
    assert.match(native.message, /GLIBC_2\.34' not found \(required by dawn\.node\)$/);
    assert.match(native.hint ?? "", /glibc >= 2\.34/);
  });
});

describe("describeAdapters", () => {
  it("reports every kind, each with what it can do or why it cannot be used", async () => {
    const reports = await describeAdapters();
    assert.deepEqual(
      reports.map(({ kind }) => kind),
      ["hardware", "lavapipe", "swiftshader"],
    );
    for (const { adapter, reason } of reports) {
      assert.ok(adapter ? adapter.features.length > 0 : reason);
      if (adapter) assert.ok((adapter.limits.maxBufferSize ?? 0) >= 2 ** 28);
    }
    assert.ok(reports.some(({ adapter }) => adapter));
  });

  it("takes Dawn's reasons out of its log", () => {
    const log = [
      "Warning: maxDynamicUniformBuffersPerPipelineLayout artificially reduced from 1000000 to 16",
      "Warning: Vulkan shaderUniformBufferArrayDynamicIndexing feature required.",
      "    at Initialize (/x/BackendVk.cpp:106)",
      "Error: Loader Message: no driver",
      "Warning: Vulkan shaderUniformBufferArrayDynamicIndexing feature required.",
    ].join("\n");
    assert.deepEqual(dawnReasons(log), [
      "Vulkan shaderUniformBufferArrayDynamicIndexing feature required.",
      "no driver",
    ]);
  });
});

describe("tarFiles", () => {
  it("gives the files of what tar wrote, and refuses a damaged size", function () {
    const { stdout, status } = spawnSync(
      "tar",
      ["cf", "-", "--format=ustar", "package.json", "tsconfig.json"],
      { cwd: root },
    );
    if (status !== 0) this.skip();
    const files = [...tarFiles(stdout)];
    assert.deepEqual(
      files.map(([name]) => name),
      ["package.json", "tsconfig.json"],
    );
    assert.equal(JSON.parse(Buffer.from(files[0]![1]).toString()).name, "wgsl-diffusion");
    stdout.write("zzzz", 124);
    assert.throws(() => [...tarFiles(stdout)], /bad size/);
  });
});
