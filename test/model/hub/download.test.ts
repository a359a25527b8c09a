/** A download that goes well: which files, where they lie, and what is not fetched again. */
import assert from "node:assert/strict";
import {
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type DownloadOptions, downloadModel } from "../../../model/hub/download.node.ts";
import type { HubEvent } from "../../../model/hub/events.ts";
import { resolveModel } from "../../../model/hub/resolve.node.ts";
import { failsWith } from "../../support/byte-source.ts";
import { COMMIT, gitHash, type HubServer, ID, sha256, startHub } from "../../support/hub-server.ts";
import { scratchFolder } from "../../support/scratch.ts";
import { tinyRepo, UNET } from "../../support/tiny-repo.ts";

describe("a download from the hub", () => {
  let cacheDir = "";
  let hub: HubServer;
  beforeEach(async () => {
    cacheDir = scratchFolder("hub-cache-");
    hub = await startHub(tinyRepo());
  });
  afterEach(async () => {
    await hub[Symbol.asyncDispose]();
    rmSync(cacheDir, { recursive: true, force: true });
  });
  const fetchTiny = (options: DownloadOptions = {}) =>
    downloadModel(ID, {
      cacheDir,
      endpoint: hub.url,
      retries: 1,
      baseDelayMs: 1,
      offline: false,
      ...options,
    });
  const model = () => join(cacheDir, "models--some-org--tiny-sd");

  const SMALL = [
    ...["model_index.json", "scheduler/scheduler_config.json"],
    ...["tokenizer/vocab.json", "tokenizer/merges.txt", "tokenizer/special_tokens_map.json"],
    ...["text_encoder/config.json", "vae/config.json", "unet/config.json"],
  ];

  it("takes what a diffusers folder needs, each weights file once, and no pickle", async () => {
    const { files, path, bytes, commit } = await fetchTiny();
    const weights = [
      ...["text_encoder/model.safetensors", "vae/diffusion_pytorch_model.safetensors", UNET],
    ];
    assert.deepEqual([...files].sort(), [...SMALL, ...weights].sort());
    assert.equal(commit, COMMIT);
    for (const file of files)
      assert.deepEqual(readFileSync(join(path, file)), hub.files.get(file), file);
    assert.equal(
      bytes,
      files.reduce((sum, file) => sum + hub.files.get(file)!.length, 0),
    );
  });

  it("lays them out as huggingface_hub does", async () => {
    const { path } = await fetchTiny();
    assert.equal(path, join(model(), "snapshots", COMMIT));
    assert.equal(readFileSync(join(model(), "refs/main"), "utf8"), COMMIT);
    const weights = sha256(hub.files.get(UNET)!);
    assert.equal(readlinkSync(join(path, UNET)), `../../../blobs/${weights}`);
    const config = gitHash(hub.files.get("unet/config.json")!);
    assert.equal(readlinkSync(join(path, "unet/config.json")), `../../../blobs/${config}`);
    const left = readdirSync(cacheDir, { recursive: true, encoding: "utf8" });
    assert.deepEqual(
      left.filter((name) => /incomplete|\.fetch|\.tmp/.test(name)),
      [],
    );
  });

  it("fetches nothing that is there, and everything with force", async () => {
    await fetchTiny();
    hub.seen.length = 0;
    assert.equal((await fetchTiny()).fetchedBytes, 0);
    assert.ok(hub.seen.every(({ path }) => path.startsWith("/api/")));
    const { fetchedBytes, bytes } = await fetchTiny({ force: true });
    assert.equal(fetchedBytes, bytes);
  });

  it("fetches a file of the cache anew that was cut short", async () => {
    const { path } = await fetchTiny();
    writeFileSync(join(path, UNET), "cut");
    assert.equal((await fetchTiny()).fetchedBytes, 200_000);
    assert.deepEqual(readFileSync(join(path, UNET)), hub.files.get(UNET));
  });

  it("takes a variant, and says where a part has none", async () => {
    hub.files.delete("vae/diffusion_pytorch_model.fp16.safetensors");
    const { files, warnings } = await fetchTiny({ variant: "fp16" });
    assert.deepEqual(files.slice(SMALL.length), [
      "text_encoder/model.fp16.safetensors",
      "vae/diffusion_pytorch_model.safetensors",
      "unet/diffusion_pytorch_model.fp16.safetensors",
    ]);
    assert.deepEqual(warnings, ["vae has no variant fp16: its plain weights are taken"]);
    await failsWith(fetchTiny({ variant: "bf16" }), "WEIGHTS_MISSING", /no variant bf16/);
  });

  it("takes the one file that is named", async () => {
    const file = "v2-1_768-ema-pruned.safetensors";
    const { files, path } = await fetchTiny({ file });
    assert.deepEqual(files, [file]);
    assert.deepEqual(readFileSync(path), hub.files.get(file));
    await failsWith(fetchTiny({ file: "v2-1_768-ema-pruned.ckpt" }), "WEIGHTS_FORMAT", /pickles/);
    await failsWith(fetchTiny({ file: "none.safetensors" }), "HUB_404", /no file none/);
  });

  it("tells the sizes beforehand and every byte as it comes", async () => {
    const events: HubEvent[] = [];
    const { bytes } = await fetchTiny({ onEvent: (event) => events.push(event) });
    const [first] = events;
    // model_index.json is read to know what else is wanted.
    const index = hub.files.get("model_index.json")!.length;
    assert.deepEqual(first, { status: "initiate", name: ID, files: 11, total: bytes - index });
    const progress = events.filter((event) => event.status === "progress");
    assert.equal(progress.at(-1)?.allLoaded, bytes);
    assert.ok(progress.every(({ allTotal }) => allTotal === bytes));
    assert.equal(events.filter(({ status }) => status === "done").length, 11);
    assert.equal(events.at(-1)?.status, "ready");
  });

  it("follows an id, a link to the model, and a link to a file of it", async () => {
    const options = { cacheDir, retries: 0, offline: false };
    const whole = await downloadModel(`${hub.url}/${ID}`, options);
    assert.equal(whole.path, join(model(), "snapshots", COMMIT));
    const file = await downloadModel(
      `${hub.url}/${ID}/resolve/main/${UNET}?download=true`,
      options,
    );
    assert.equal(file.path, join(whole.path, UNET));
  });

  describe("offline", () => {
    it("takes a whole checkpoint from the cache and asks nobody", async () => {
      const { path } = await fetchTiny();
      hub.seen.length = 0;
      const found = await fetchTiny({ offline: true });
      assert.deepEqual([found.path, found.files.length, hub.seen.length], [path, 11, 0]);
    });

    it("says that it is not there, or not whole", async () => {
      await failsWith(fetchTiny({ offline: true }), "NETWORK", /offline, and some-org\/tiny-sd/);
      const { path } = await fetchTiny();
      rmSync(join(path, UNET));
      await failsWith(fetchTiny({ offline: true }), "NETWORK", /not wholly/);
    });
  });

  describe("by --model", () => {
    const resolve = (name: string, options: DownloadOptions = {}) =>
      resolveModel(name, { cacheDir, endpoint: hub.url, retries: 0, offline: false, ...options });

    it("prefers what exists on this machine, and leaves other paths to the loader", async () => {
      assert.equal(await resolve(cacheDir), cacheDir);
      for (const name of ["stable-diffusion-2-1", "./some-org/tiny-sd", "/no/where/at-all"])
        assert.equal(await resolve(name), name);
      assert.equal(hub.seen.length, 0);
    });

    it("fetches an id once, then takes it from the cache without asking", async () => {
      const path = await resolve(ID);
      assert.ok(existsSync(join(path, UNET)));
      hub.seen.length = 0;
      assert.equal(await resolve(ID), path);
      assert.equal(hub.seen.length, 0);
      rmSync(join(path, UNET));
      assert.equal(await resolve(ID), path);
      assert.ok(existsSync(join(path, UNET)));
    });

    it("says that there is neither a folder nor a model of that name", async () => {
      await failsWith(
        resolve("my/folder"),
        "HUB_404",
        /no folder my\/folder here, and .* no model/,
      );
    });
  });
});
