/** A real Chromium without a window, with WebGPU on SwiftShader. */
import { existsSync } from "node:fs";
import { type Browser, chromium, type LaunchOptions } from "playwright-core";

const PLACES = [
  process.env.CHROMIUM,
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/** Throws an error that says how to get one; these tests are never skipped. */
export function chromiumPath(): string {
  const found = PLACES.find((path) => path !== undefined && existsSync(path));
  if (found !== undefined) return found;
  throw new Error(
    "There is no Chromium for the browser tests. Debian: apt-get install chromium. " +
      "Elsewhere install Chrome or Chromium and name its program: CHROMIUM=/path/to/chrome npm run test:browser",
  );
}

/** What makes Chromium offer WebGPU on a machine without a GPU. */
const WEBGPU = [
  "--enable-unsafe-webgpu",
  "--use-webgpu-adapter=swiftshader",
  "--enable-features=Vulkan",
];

export function launch(options: LaunchOptions & { webgpu?: boolean } = {}): Promise<Browser> {
  const { webgpu = true, args = [], ...rest } = options;
  return chromium.launch({
    executablePath: chromiumPath(),
    args: [
      ...(webgpu ? WEBGPU : ["--disable-features=WebGPU,WebGPUService"]),
      // Containers have a small /dev/shm, and root may not have a sandbox.
      ...["--no-sandbox", "--disable-dev-shm-usage", ...args],
    ],
    ...rest,
  });
}
