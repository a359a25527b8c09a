/** Models on a server, as browsers read them: streamed, or by way of their storage. */
import assert from "node:assert/strict";
import { askHub } from "../../../model/files/hub-model.ts";
import { isWhole, type Storage, storedFiles, streamedFiles } from "../../../model/files/remote.ts";
import { askServer } from "../../../model/files/url-model.ts";
import type { HubConnection } from "../../../model/hub/connection.ts";
import type { HubEvent } from "../../../model/hub/events.ts";
import { memoryStore } from "../../../model/store/part-store.ts";
import { failsWith } from "../../support/byte-source.ts";
import {
  breakAt,
  type HubServer,
  ID,
  refuse,
  send,
  sendFile,
  startHub,
} from "../../support/hub-server.ts";
import { bytes, tinyRepo, UNET } from "../../support/tiny-repo.ts";

const REPO = tinyRepo();
const DATA = REPO[UNET] as Buffer;

describe("a model on a server", () => {
  let server: HubServer;
  let hub: HubConnection;
  let events: HubEvent[];
  beforeEach(async () => {
    server = await startHub(REPO);
    hub = { endpoint: server.url, browser: true, retries: 2, baseDelayMs: 1 };
    events = [];
  });
  afterEach(() => server[Symbol.asyncDispose]());

  const model = () => askHub({ id: ID, revision: "main" }, undefined, hub, (e) => events.push(e));
  const storage = (changes: Partial<Storage> = {}): Storage => ({
    store: memoryStore(),
    lock: (_, work) => work(),
    reserve: async () => {},
    ...changes,
  });
  const store = async (given = storage()) =>
    storedFiles(await model(), hub, given, (event) => events.push(event));
  const requests = (end: string) => server.seen.filter(({ path }) => path.includes(end)).length;

  it("is chosen as Node chooses it, small files first", async () => {
    const { files, name } = await model();
    assert.equal(name, ID);
    assert.equal(files[0]!.path, "model_index.json");
    assert.ok(files.some(({ path }) => path === UNET));
    assert.ok(!files.some(({ path }) => /\.(bin|ckpt|fp16\.safetensors)$/.test(path)));
  });

  describe("streamed", () => {
    it("reads a large piece by one request for it alone, and small ones by the block", async () => {
      const big = bytes(5_000_000, 3);
      server.files.set(UNET, big);
      const source = await streamedFiles(await model(), hub).open(UNET);
      const before = requests(UNET);
      assert.deepEqual(
        Buffer.from(await source.read(100, 3_000_000)),
        big.subarray(100, 3_000_100),
      );
      assert.equal(server.seen.at(-1)!.headers.range, "bytes=100-3000099");
      for (const at of [0, 50_000, 2_097_000]) {
        assert.deepEqual(Buffer.from(await source.read(at, 500)), big.subarray(at, at + 500));
      }
      // Each is one redirect and one answer: the large piece, and two blocks.
      assert.equal(requests(UNET) - before, 6);
      assert.equal((await source.read(big.length, 0)).length, 0);
      await failsWith(source.read(big.length - 1, 2), "WEIGHTS_TRUNCATED");
    });

    it("goes on within a piece where the connection breaks", async () => {
      const source = await streamedFiles(await model(), hub).open(UNET);
      server.next(`/cdn/${UNET}`, breakAt(DATA, 70_000));
      assert.deepEqual(Buffer.from(await source.read(0, DATA.length)), DATA);
      assert.equal(server.seen.at(-1)!.headers.range, `bytes=70000-${DATA.length - 1}`);
    });

    it("refuses a file that changes while it is read, and a server that sends no parts", async () => {
      const big = Buffer.alloc(5_000_000, 1);
      server.files.set(UNET, big);
      const source = await streamedFiles(await model(), hub).open(UNET);
      await source.read(0, 10);
      server.always(`/cdn/${UNET}`, sendFile(big, '"another"'));
      await failsWith(source.read(3_000_000, 10), "NETWORK", /changed on the server/);
      server.always(`/cdn/${UNET}`, send(200, { "content-length": "5000000" }, big));
      await failsWith(source.read(3_000_000, 10), "NETWORK", /whole files only/);
    });

    it("gives small texts, checked by their hash, and none that are not there", async () => {
      const files = streamedFiles(await model(), hub);
      const text = await files.readText("unet/config.json", "CONFIG");
      assert.equal(text, String(REPO["unet/config.json"]));
      assert.equal(await files.readText("no/such.json", "CONFIG"), undefined);
      await failsWith(files.open("no/such.safetensors"), "WEIGHTS_MISSING");
      assert.deepEqual(await files.list("unet"), [
        "config.json",
        "diffusion_pytorch_model.safetensors",
      ]);
    });
  });

  describe("stored", () => {
    it("comes once, and is read from the storage then", async () => {
      const given = storage();
      const files = await store(given);
      assert.ok(await isWhole(given.store, await model()));
      const count = requests("/resolve/");
      const source = await files.open(UNET);
      assert.deepEqual(Buffer.from(await source.read(5, 1000)), DATA.subarray(5, 1005));
      await store(given);
      // The second time only model_index.json is asked for, to choose by.
      assert.equal(requests("/resolve/"), count + 1);
    });

    it("tells its progress in bytes and the time to go, and ends with all of them", async () => {
      await store();
      const progress = events.filter((event) => event.status === "progress");
      const last = progress.at(-1)!;
      assert.equal(last.allLoaded, last.allTotal);
      assert.ok(progress.some(({ etaMs }) => etaMs === undefined || etaMs >= 0));
      const started = events.find((event) => event.status === "initiate");
      assert.equal(started?.total, last.allTotal);
    });

    it("goes on after a broken connection in the same try, and in a later one", async () => {
      const given = storage();
      server.next(`/cdn/${UNET}`, breakAt(DATA, 60_000));
      server.next(`/cdn/${UNET}`, refuse(500), refuse(500), refuse(500));
      await failsWith(store(given), "NETWORK");
      const files = await store(given);
      assert.match(server.seen.at(-1)!.headers.range ?? "", /^bytes=60000-/);
      const source = await files.open(UNET);
      assert.deepEqual(Buffer.from(await source.read(0, DATA.length)), DATA);
    });

    it("is fetched once more where it came damaged, then refused", async () => {
      const wrong = Buffer.from(DATA);
      wrong[1000]! ^= 1;
      server.next(`/cdn/${UNET}`, sendFile(wrong));
      await store();
      server.next(`/cdn/${UNET}`, sendFile(wrong), sendFile(wrong));
      await failsWith(store(), "WEIGHTS_HASH", /SHA-256/);
    });

    it("is refused before a byte of weights comes where there is no room", async () => {
      const full = Object.assign(new Error("full"), { code: "DISK_FULL" });
      let wanted = 0;
      const reserve = async (need: number) => {
        wanted = need;
        throw full;
      };
      await assert.rejects(store(storage({ reserve })), full);
      assert.ok(wanted > DATA.length);
      assert.equal(requests(UNET), 0);
    });

    it("waits for another page that fetches the same file, and says so", async () => {
      const given = storage();
      const lock: Storage["lock"] = async (_, work, onWait) => {
        onWait();
        return work();
      };
      await store({ ...given, lock });
      assert.ok(events.some((event) => event.status === "wait" && event.file === UNET));
    });

    it("is fetched again where the browser has dropped a part of it", async () => {
      const given = storage();
      const files = await store(given);
      const source = await files.open(UNET);
      const names = await given.store.names();
      const hash = (await model()).files.find(({ path }) => path === UNET)!.hash;
      for (const name of names) if (name === `${hash}.0`) await given.store.delete(name);
      assert.deepEqual(Buffer.from(await source.read(9, 99)), DATA.subarray(9, 108));
      assert.ok((await given.store.names()).includes(`${hash}.0`));
    });
  });

  it("without a listing is found by asking for its files one by one", async () => {
    server.files.set("unet/config.json", Buffer.from(String(REPO["unet/config.json"])));
    const url = new URL("/cdn/", server.url);
    const { files, name } = await askServer(url, undefined, hub);
    assert.equal(name, "cdn");
    const wanted = (await model()).files.map(({ path }) => path);
    assert.deepEqual(files.map(({ path }) => path).sort(), [...wanted].sort());
    const { size } = files.find(({ path }) => path === UNET)!;
    assert.equal(size, DATA.length);
    const given = storage();
    const opened = await storedFiles({ ...(await model()), files }, hub, given, () => {});
    assert.equal(await opened.readText("model_index.json", "CONFIG"), REPO["model_index.json"]);
  });

  it("that is not there, or is a page for every address, is missing", async () => {
    await failsWith(askServer(new URL("/nothing/", server.url), undefined, hub), "WEIGHTS_MISSING");
    const page = send(200, { "content-type": "text/html" }, "<!doctype html>");
    server.always("/spa/model_index.json", page);
    await failsWith(askServer(new URL("/spa/", server.url), undefined, hub), "WEIGHTS_MISSING");
  });
});
