/** Kernels in a page: the tests that Node runs, on WebGPU's default limits and no optional feature. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { bundle, root } from "./support/bundle.ts";
import { launch } from "./support/chromium.ts";
import { startSite } from "./support/site.ts";

interface Result {
  readonly title: string;
  readonly error?: string;
}

describe("kernels in Chromium", () => {
  it("give what they give in Node, with default limits and without shader-f16", async () => {
    await using site = await startSite({ "/mocha/": join(root, "node_modules/mocha") });
    site.use(await bundle({ kernels: "test/browser/page/kernels.ts" }));
    site.use(kernelPage);
    await using browser = await launch();
    const page = await browser.newPage();
    await page.goto(`${site.url}/kernels.html`);
    await page.waitForFunction("globalThis.results", undefined, { timeout: 500_000 });
    const results = (await page.evaluate("results")) as Result[];
    assert.deepEqual(
      results.filter(({ error }) => error !== undefined),
      [],
    );
    assert.ok(results.length >= 10, `${results.length} tests ran`);
  });
});

function kernelPage(
  request: import("node:http").IncomingMessage,
  response: import("node:http").ServerResponse,
): boolean {
  if (request.url !== "/kernels.html") return false;
  const scripts = `<script src="/mocha/mocha.js"></script><script type="module" src="/bundle/kernels.js"></script>`;
  response.writeHead(200, { "content-type": "text/html" });
  response.end(`<!doctype html><meta charset="utf-8"><title>kernels</title>${scripts}`);
  return true;
}
