/** Weights in a real browser: fetched, resumed, kept, shared by pages, and streamed where nothing can be kept. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "playwright-core";
import { openFolder } from "../../model/folder.node.ts";
import { root } from "./support/bundle.ts";
import { launch } from "./support/chromium.ts";
import { inPage, libraryPage, librarySite } from "./support/library-page.ts";
import { cutOnce, type Handler, type Site } from "./support/site.ts";

const MODEL = "/models/shapes/";
const UNET = `${MODEL}unet/diffusion_pytorch_model.safetensors`;

/** What opening a model gives: a hash over all tensors of its UNet, and what was told meanwhile. */
interface Opened {
  readonly hash: string;
  readonly events: readonly { readonly status: string; readonly message?: string }[];
}

interface OpenOptions {
  readonly cache?: boolean;
  readonly strict?: boolean;
  /** Where the store may be: the browser's refusals are played. */
  readonly without?: readonly ("opfs" | "cache" | "quota")[];
}

describe("weights in Chromium", () => {
  let site: Site;
  let browser: Browser;
  let context: BrowserContext;
  let page: Page;
  let expected: string;
  before(async () => {
    expected = await hashInNode();
    browser = await launch({ args: ["--enable-precise-memory-info"] });
  });
  after(() => browser?.close());
  // A context has a storage of its own.
  beforeEach(async () => {
    site = await librarySite();
    context = await browser.newContext();
    page = await libraryPage(site, context);
  });
  afterEach(async () => {
    await context?.close();
    await site?.[Symbol.asyncDispose]();
  });

  const weightRequests = () =>
    site.seen.filter((each) => each.startsWith(UNET) && !each.endsWith(" bytes=0-0"));

  it("go on where a connection broke, and are kept for the next time", async () => {
    site.use(cutOnce(UNET, 5_000_000));
    const first = await openIn(page);
    assert.equal(first.hash, expected);
    assert.ok(first.events.some(({ status }) => status === "retry"));
    const [whole, rest, ...more] = weightRequests();
    assert.equal(whole, UNET);
    assert.match(rest ?? "", /bytes=[1-9]\d{5,}-$/);
    assert.deepEqual(more, []);
    const again = await openIn(await libraryPage(site, context));
    assert.equal(again.hash, expected);
    assert.equal(weightRequests().length, 2, "nothing is fetched a second time");
  });

  it("are taken from the storage where the server cannot be reached, with a warning", async () => {
    await openIn(page);
    const next = await libraryPage(site, context);
    site.use((request, response) => {
      if (!request.url?.startsWith(MODEL)) return false;
      response.destroy();
      return true;
    });
    const { hash, events } = await openIn(next);
    assert.equal(hash, expected);
    assert.ok(events.some(({ message }) => /copy in the browser's storage/.test(message ?? "")));
  });

  it("are fetched once by two pages at the same time", async () => {
    const other = await libraryPage(site, context);
    const both = await Promise.all([openIn(page), openIn(other)]);
    assert.deepEqual(
      both.map(({ hash }) => hash),
      [expected, expected],
    );
    assert.equal(weightRequests().length, 1);
    const waits = both.map(({ events }) => events.some(({ status }) => status === "wait"));
    assert.deepEqual(waits.sort(), [false, true]);
  });

  it("are kept by the Cache API where there is no private file system", async () => {
    const { hash } = await openIn(page, { without: ["opfs"] });
    assert.equal(hash, expected);
    assert.ok((await page.evaluate(() => caches.keys())).includes("wgsl-diffusion"));
    const again = await openIn(await libraryPage(site, context), { without: ["opfs"] });
    assert.equal(again.hash, expected);
    assert.equal(weightRequests().length, 1);
  });

  it("are read from the server each time where nothing can be kept, or shall be", async () => {
    const hidden = await openIn(page, { without: ["opfs", "cache"] });
    assert.equal(hidden.hash, expected);
    assert.ok(hidden.events.some(({ message }) => /may not store/.test(message ?? "")));
    assert.ok(weightRequests().every((each) => /bytes=\d+-\d+$/.test(each)));
    const wanted = await openIn(page, { cache: false });
    assert.equal(wanted.hash, expected);
    assert.deepEqual(wanted.events, []);
  });

  it("are streamed where the quota is too small, or refused with `strict` (DISK_FULL)", async () => {
    const { hash, events } = await openIn(page, { without: ["quota"] });
    assert.equal(hash, expected);
    assert.ok(
      events.some(({ message }) => /needs 0\.02 GB .* may have 0\.00 GB/.test(message ?? "")),
    );
    await assert.rejects(openIn(page, { without: ["quota"], strict: true }), /DISK_FULL/);
  });

  it("are fetched again where the browser evicted a part of them", async () => {
    await openIn(page);
    const dropped = await page.evaluate(async () => {
      const top = await navigator.storage.getDirectory();
      const folder = await top.getDirectoryHandle("wgsl-diffusion");
      const names: string[] = [];
      for await (const name of (folder as unknown as { keys(): AsyncIterable<string> }).keys())
        if (name.endsWith(".0")) names.push(name);
      for (const name of names) await folder.removeEntry(name);
      return names.length;
    });
    assert.ok(dropped > 3);
    const { hash } = await openIn(page);
    assert.equal(hash, expected);
    assert.match(weightRequests().at(-1) ?? "", /bytes=0-\d+$/);
  });

  it("of 2.6 GB pass through less than 300 MB of JS heap", async () => {
    const tensors = 20;
    site.use(zeros("/big.safetensors", tensors, 130_000_000));
    const before = await rendererBytes(browser);
    const sampled = sample(() => rendererBytes(browser));
    const heap = await inPage(
      page,
      async ({ rangeSource, readSafetensors }, { url, size }) => {
        const file = { path: "big", size, hash: "", url };
        const hub = { endpoint: location.origin, browser: true };
        const source = rangeSource(file, "big", hub, { id: "big", revision: "" });
        const { tensors } = await readSafetensors(source);
        const memory = (performance as unknown as { memory: { usedJSHeapSize: number } }).memory;
        let most = 0;
        for (const tensor of tensors.values()) {
          // As WeightCache reads them; the upload is left out.
          for (let at = 0; at < tensor.byteLength; at += 2 ** 25) {
            const bytes = await tensor.read(at, Math.min(2 ** 25, tensor.byteLength - at));
            most = Math.max(most, memory.usedJSHeapSize, bytes.byteLength);
          }
        }
        return most;
      },
      { url: `${site.url}/big.safetensors`, size: zerosSize(tensors, 130_000_000) },
    );
    const grown = (await sampled.most()) - before;
    console.log(
      `      JS heap ${(heap / 1e6).toFixed(0)} MB at the most, the process ${(grown / 1e6).toFixed(0)} MB more than before`,
    );
    assert.ok(heap < 300e6);
    // What is no longer used is collected late; the file itself would be 2600.
    assert.ok(grown < 600e6);
  });
});

function openIn(page: Page, options: OpenOptions = {}): Promise<Opened> {
  return inPage(
    page,
    async ({ openModel, library }, { path, without = [], ...options }) => {
      const refuse = () => Promise.reject(new DOMException("not here", "SecurityError"));
      if (without.includes("opfs")) navigator.storage.getDirectory = refuse;
      if (without.includes("cache")) caches.open = refuse;
      if (without.includes("quota"))
        navigator.storage.estimate = async () => ({ quota: 1000, usage: 0 });
      const events: { status: string; message?: string }[] = [];
      const onEvent = (event: { status: string }) => {
        if (["retry", "wait", "warning"].includes(event.status)) events.push(event);
      };
      try {
        const model = await openModel(path, { ...options, onEvent, retries: 1 });
        const hashes: number[] = [];
        for (const tensor of (await model.unet.tensors()).values()) {
          const bytes = await tensor.read(0, tensor.byteLength);
          const digest = await crypto.subtle.digest("SHA-256", bytes as Uint8Array<ArrayBuffer>);
          hashes.push(...new Uint8Array(digest));
        }
        const all = await crypto.subtle.digest("SHA-256", Uint8Array.from(hashes));
        await model.close();
        const hash = [...new Uint8Array(all)].map((b) => b.toString(16).padStart(2, "0")).join("");
        return { hash, events };
      } catch (error) {
        if (error instanceof library.DiffusionError)
          error.message = `${error.code}: ${error.message}`;
        throw error;
      }
    },
    { path: MODEL, ...options },
  );
}

/** The memory of the largest page process, as Linux counts it: array buffers are no part of the JS heap. */
async function rendererBytes(browser: Browser): Promise<number> {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  await session.detach();
  const sizes = processInfo
    .filter(({ type }) => type === "renderer")
    .map(({ id }) => {
      const status = existsSync(`/proc/${id}/status`)
        ? readFileSync(`/proc/${id}/status`, "utf8")
        : "";
      return 1024 * Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0);
    });
  return Math.max(0, ...sizes);
}

/** Asks again and again until `most` is called, which gives the largest answer. */
function sample(ask: () => Promise<number>): { most(): Promise<number> } {
  let going = true;
  let most = 0;
  const work = (async () => {
    while (going) {
      most = Math.max(most, await ask());
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  })();
  return {
    async most() {
      going = false;
      await work;
      return most;
    },
  };
}

async function hashInNode(): Promise<string> {
  await using model = await openFolder(join(root, "model/shapes"));
  const all = createHash("sha256");
  for (const { read, byteLength } of (await model.unet.tensors()).values())
    all.update(
      createHash("sha256")
        .update(await read(0, byteLength))
        .digest(),
    );
  return all.digest("hex");
}

function zerosHeader(tensors: number, bytes: number): Buffer {
  const entries = Array.from({ length: tensors }, (_, i) => [
    `t${i}`,
    { dtype: "F32", shape: [bytes / 4], data_offsets: [i * bytes, (i + 1) * bytes] },
  ]);
  const json = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const head = Buffer.alloc(8);
  head.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([head, json]);
}

const zerosSize = (tensors: number, bytes: number) =>
  zerosHeader(tensors, bytes).length + tensors * bytes;

/** A safetensors file of zeros that is nowhere: its bytes are made as they are sent. */
function zeros(path: string, tensors: number, bytes: number): Handler {
  const header = zerosHeader(tensors, bytes);
  const size = zerosSize(tensors, bytes);
  return async (request, response) => {
    if (request.url !== path) return false;
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
    const [start, end] = [Number(first), Number(last) + 1];
    response.writeHead(206, {
      ...{ "content-length": end - start, "content-range": `bytes ${start}-${end - 1}/${size}` },
    });
    const chunk = Buffer.alloc(2 ** 20);
    for (let at = start; at < end && !response.destroyed; ) {
      const piece =
        at < header.length
          ? header.subarray(at, end)
          : chunk.subarray(0, Math.min(chunk.length, end - at));
      at += piece.length;
      if (!response.write(piece)) await new Promise((resolve) => response.once("drain", resolve));
    }
    response.end();
    return true;
  };
}
