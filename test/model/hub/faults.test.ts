/** A hub and a network that misbehave, each in one way. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { DiffusionError } from "../../../engine/errors.ts";
import { type DownloadOptions, downloadModel } from "../../../model/hub/download.node.ts";
import type { HubEvent } from "../../../model/hub/events.ts";
import { failsWith } from "../../support/byte-source.ts";
import {
  breakAt,
  COMMIT,
  entryOf,
  type Handler,
  type HubServer,
  ID,
  json,
  redirect,
  refuse,
  send,
  sendFile,
  sha256,
  startHub,
} from "../../support/hub-server.ts";
import { scratchFolder } from "../../support/scratch.ts";
import { bytes, tinyRepo } from "../../support/tiny-repo.ts";

const FILE = "weights.safetensors";
const DATA = bytes(50_000, 11);

describe("a hub that misbehaves", () => {
  let cacheDir = "";
  let hub: HubServer;
  let events: HubEvent[] = [];
  beforeEach(async () => {
    cacheDir = scratchFolder("hub-faults-");
    hub = await startHub({ [FILE]: DATA });
    events = [];
  });
  afterEach(async () => {
    await hub[Symbol.asyncDispose]();
    rmSync(cacheDir, { recursive: true, force: true });
  });
  const fetchFile = (options: DownloadOptions = {}) =>
    downloadModel(ID, {
      ...{ cacheDir, endpoint: hub.url, file: FILE, retries: 2, baseDelayMs: 1, offline: false },
      onEvent: (event) => events.push(event),
      ...options,
    });
  const blobs = () => join(cacheDir, "models--some-org--tiny-sd/blobs");
  const incomplete = () => join(blobs(), `${sha256(DATA)}.incomplete`);
  const arrives = async (options?: DownloadOptions) => {
    const { path } = await fetchFile(options);
    assert.deepEqual(readFileSync(path), DATA);
    assert.deepEqual(readdirSync(blobs()), [sha256(DATA)]);
  };
  /** Ranges that were asked of the place where the file is. */
  const ranges = () =>
    hub.seen.filter(({ path }) => path.startsWith("/cdn/")).map(({ headers }) => headers.range);
  const retries = () => events.filter((event) => event.status === "retry");

  describe("and a connection that breaks", () => {
    it("goes on where it broke off, as often as it gets any further", async () => {
      const ends = [1000, 2000, 30_000, 40_000, 49_999];
      hub.next(`/cdn/${FILE}`, ...ends.map((end) => breakAt(DATA, end)));
      await arrives();
      assert.deepEqual(ranges(), [undefined, ...ends.map((end) => `bytes=${end}-`)]);
    });

    it("goes on after a crash, with what is in the cache", async () => {
      mkdirSync(blobs(), { recursive: true });
      writeFileSync(incomplete(), DATA.subarray(0, 20_000));
      await arrives();
      assert.deepEqual(ranges(), ["bytes=20000-"]);
    });

    it("asks for nothing if only the last step was missing", async () => {
      mkdirSync(blobs(), { recursive: true });
      writeFileSync(incomplete(), DATA);
      await arrives();
      assert.deepEqual(ranges(), []);
    });

    it("keeps what came when it gives up", async () => {
      hub.always(`/cdn/${FILE}`, breakAt(DATA, 7000));
      await failsWith(fetchFile(), "NETWORK", /broke off|stopped after/);
      assert.equal(readFileSync(incomplete()).length, 7000);
    });

    it("gives up on a server that starts anew each time and never gets further", async () => {
      let asked = 0;
      hub.always(`/cdn/${FILE}`, (request, response) => {
        asked++;
        delete request.headers.range;
        breakAt(DATA, 5000)(request, response);
      });
      await failsWith(fetchFile(), "NETWORK");
      assert.equal(asked, 3);
    });

    it("gives up on a silent server", async () => {
      hub.always(`/cdn/${FILE}`, (_, response) => {
        response.writeHead(200, { "content-length": DATA.length });
        response.write(DATA.subarray(0, 100));
      });
      const options = { stallMs: 60, retries: 1 };
      await failsWith(fetchFile(options), "NETWORK", /not a byte came/);
      hub.always("/revision/main", () => {});
      await failsWith(fetchFile(options), "NETWORK", /not a byte came/);
    });
  });

  describe("and ranges", () => {
    beforeEach(() => {
      mkdirSync(blobs(), { recursive: true });
      writeFileSync(incomplete(), DATA.subarray(0, 20_000));
    });

    it("takes the whole file from a server that ignores them", async () => {
      hub.next(`/cdn/${FILE}`, send(200, { "content-length": `${DATA.length}` }, DATA));
      await arrives();
      assert.equal(ranges().length, 1);
    });

    it("starts anew after 416", async () => {
      hub.next(`/cdn/${FILE}`, refuse(416));
      await arrives();
      assert.deepEqual(ranges(), ["bytes=20000-", undefined]);
    });

    it("starts anew if another range comes than was asked for", async () => {
      const range = { "content-range": `bytes 0-49999/${DATA.length}` };
      hub.next(`/cdn/${FILE}`, send(206, range, DATA));
      await arrives();
      assert.deepEqual(ranges(), ["bytes=20000-", undefined]);
    });

    it("starts anew if the part comes compressed", async () => {
      const range = `bytes 20000-49999/${DATA.length}`;
      const headers = { "content-range": range, "content-encoding": "gzip" };
      hub.next(`/cdn/${FILE}`, send(206, headers, gzipSync(DATA.subarray(20_000))));
      await arrives();
    });
  });

  it("starts anew if the file's ETag changes on the way", async () => {
    const other = bytes(DATA.length, 12);
    const ifRange: unknown[] = [];
    const changed: Handler = (request, response) => {
      ifRange.push(request.headers["if-range"]);
      // A server that does not know it.
      delete request.headers["if-range"];
      sendFile(DATA, '"new"')(request, response);
    };
    hub.next(`/cdn/${FILE}`, breakAt(other, 9000, '"old"'));
    hub.always(`/cdn/${FILE}`, changed);
    await arrives();
    assert.deepEqual(ranges(), [undefined, "bytes=9000-", undefined]);
    assert.ok(!retries().some(({ message }) => /damaged/.test(message)));
    assert.deepEqual(ifRange, ['"old"', undefined]);
  });

  it("takes a whole file that comes compressed, and asks that none should", async () => {
    hub.next(`/cdn/${FILE}`, send(200, { "content-encoding": "gzip" }, gzipSync(DATA)));
    await arrives();
    assert.ok(hub.seen.every(({ headers }) => headers["accept-encoding"] === "identity"));
  });

  it("waits as long as a busy server asks for", async () => {
    hub.next(`/cdn/${FILE}`, refuse(429, "", { "retry-after": "0.2" }), refuse(503));
    hub.next("/revision/main", refuse(429, "", { "retry-after": "1" }));
    await arrives();
    const waits = retries().map(({ waitMs }) => waitMs);
    assert.equal(waits[0], 1000);
    assert.ok(waits[1]! <= 1 && waits[2]! <= 2, "no number of seconds, no date: the usual pause");
  });

  it("does not wait an hour", async () => {
    hub.next("/revision/main", refuse(429, "", { "retry-after": "3600" }));
    await failsWith(fetchFile(), "NETWORK", /429/);
  });

  it("tries a server that fails a few times", async () => {
    hub.always(`/cdn/${FILE}`, refuse(502));
    await failsWith(fetchFile(), "NETWORK", /status 502/);
    assert.equal(ranges().length, 3);
  });

  it("refuses another length than the listing's", async () => {
    hub.always(`/cdn/${FILE}`, send(200, { "content-length": "400" }, bytes(400)));
    await failsWith(fetchFile(), "NETWORK", /announces 400 bytes where the file has 50000/);
  });

  it("takes not one byte more than the listing announces", async () => {
    hub.next(`/cdn/${FILE}`, (_, response) => {
      response.writeHead(200);
      response.write(DATA);
      setTimeout(() => response.end(bytes(1)), 20);
    });
    await failsWith(fetchFile(), "NETWORK", /more than the file's 50000 bytes/);
  });

  it("ends a body that does not end by itself", async () => {
    let sent = 0;
    hub.always(`/cdn/${FILE}`, (_, response) => {
      response.writeHead(200);
      const more = () => {
        sent += 65_536;
        if (!response.destroyed) response.write(bytes(65_536), () => setImmediate(more));
      };
      more();
    });
    await failsWith(fetchFile(), "NETWORK", /more than the file's 50000 bytes/);
    assert.ok(sent < 20 * 2 ** 20, `${sent} bytes`);
    assert.equal(readFileSync(incomplete()).length, 0);
  });

  it("tells a web page from a file, whatever it is called", async () => {
    const page = Buffer.from(`<!DOCTYPE html><p>Log in${" ".repeat(DATA.length - 24)}`);
    hub.next(`/cdn/${FILE}`, send(200, { "content-type": "text/html; charset=utf-8" }, page));
    await failsWith(fetchFile(), "NETWORK", /a web page in place of the file/);
    hub.next(`/cdn/${FILE}`, send(200, {}, page));
    await failsWith(fetchFile(), "NETWORK", /a web page in place of the file/);
    hub.next("/revision/main", send(200, { "content-type": "text/html" }, page));
    await failsWith(fetchFile(), "NETWORK", /does not answer as a hub: it sends a web page/);
  });

  describe("and hashes", () => {
    const wrong = Buffer.from(DATA);
    wrong[40_000]! ^= 1;

    it("fetches a damaged file once more", async () => {
      hub.next(`/cdn/${FILE}`, sendFile(wrong));
      await arrives();
      assert.match(retries()[0]!.message, /came damaged/);
    });

    it("drops it and says so the second time", async () => {
      hub.always(`/cdn/${FILE}`, sendFile(wrong));
      const message = new RegExp(`is ${sha256(wrong)}, expected ${sha256(DATA)}`);
      await failsWith(fetchFile(), "WEIGHTS_HASH", message);
      assert.equal(ranges().length, 2);
      assert.equal(readFileSync(incomplete()).length, 0);
    });

    it("checks Git's hash of small files", async () => {
      hub.files.set("notes.txt", Buffer.from("right"));
      hub.always("/notes.txt", sendFile(Buffer.from("wrong")));
      await failsWith(fetchFile({ file: "notes.txt" }), "WEIGHTS_HASH", /Git SHA-1/);
    });
  });

  describe("and names", () => {
    const tree =
      (entries: unknown): Handler =>
      (_, response) =>
        json(response, entries);

    it("takes none that leaves the folder, under anybody's rules", async () => {
      for (const file of [
        "../x.safetensors",
        "unet/..\\x",
        "/etc/x",
        "C:/x",
        "a/nul.json",
        "a/./b",
      ])
        await failsWith(fetchFile({ file }), "PATH");
      for (const revision of ["../main", "a//b", "refs/../../x", "a\\b"])
        await failsWith(fetchFile({ revision }), "PATH");
      await failsWith(
        downloadModel(`${hub.url}/${ID}/resolve/main/..%2f..%2fx`, { cacheDir }),
        "PATH",
      );
    });

    it("takes no shard from elsewhere, and none that is not there", async () => {
      const index = "unet/diffusion_pytorch_model.safetensors.index.json";
      for (const [shard, code] of [
        ["../../evil.safetensors", "PATH"],
        ["..\\evil.safetensors", "PATH"],
        ["none.safetensors", "WEIGHTS_SHARD"],
        ["config.json", "WEIGHTS_SHARD"],
      ] as const) {
        hub.files.clear();
        const json = JSON.stringify({ weight_map: { "conv_in.weight": shard } });
        const unet = "unet/diffusion_pytorch_model.safetensors";
        for (const [path, data] of Object.entries(tinyRepo({ [unet]: null, [index]: json })))
          hub.files.set(path, Buffer.from(data));
        await failsWith(fetchFile({ file: undefined }), code);
      }
    });

    it("takes no hash that is a path, and no listing that is none", async () => {
      const entry = entryOf(FILE, DATA);
      for (const damaged of [
        { ...entry, lfs: { oid: "../../../x", size: 1 } },
        { ...entry, lfs: null, oid: "/etc/passwd" },
        { ...entry, size: -1 },
        { ...entry, size: "50000" },
        { ...entry, path: 7 },
      ]) {
        hub.next(`/tree/${COMMIT}`, tree([damaged]));
        await failsWith(fetchFile(), "NETWORK", /does not answer as a hub/);
      }
      hub.next(`/tree/${COMMIT}`, tree({}));
      await failsWith(fetchFile(), "NETWORK", /its list of files is none/);
      hub.next("/revision/main", (_, response) => json(response, { sha: "../x" }));
      await failsWith(fetchFile(), "NETWORK", /which commit/);
    });

    it("does not follow pages in a circle", async () => {
      hub.always(`/tree/${COMMIT}`, (request, response) =>
        json(response, [], { link: `<${request.url}>; rel="next"` }),
      );
      await failsWith(fetchFile(), "NETWORK", /has no end/);
    });
  });

  it("says that the disk is too small before it fetches anything", async () => {
    hub.next(`/tree/${COMMIT}`, (_, response) => {
      const entry = entryOf(FILE, DATA);
      json(response, [{ ...entry, size: 9e15 }]);
    });
    await failsWith(fetchFile(), "DISK_FULL", /needs 9000000\.00 GB, has [\d.]+ GB/);
    assert.deepEqual(ranges(), []);
  });

  it("says that the cache cannot be written", async () => {
    const file = join(cacheDir, "file");
    writeFileSync(file, "");
    await failsWith(fetchFile({ cacheDir: join(file, "x") }), "OUTPUT", /cache cannot be written/);
  });

  describe("and refusals", () => {
    const fails = async (code: string, message: RegExp, hint: RegExp, id = ID, token?: string) => {
      const options = {
        cacheDir,
        endpoint: hub.url,
        file: FILE,
        token,
        retries: 0,
        offline: false,
      };
      await assert.rejects(downloadModel(id, options), (error: unknown) => {
        assert.ok(error instanceof DiffusionError);
        assert.equal(error.code, code);
        assert.match(error.message, message);
        assert.match(error.hint ?? "", hint);
        return true;
      });
    };

    it("names the mirrors where Stability AI's models were", async () => {
      const id = "stabilityai/stable-diffusion-2-1-base";
      await fails(
        "HUB_404",
        /has no model/,
        /November 2025.*sd2-community\/stable-diffusion-2-1-base/,
        id,
      );
      hub.always("/revision/main", refuse(401, "RepoNotFound"));
      await fails("HUB_404", /private, or not there/, /sd2-community.*HF_TOKEN/, id);
    });

    it("tells a revision, a file and a licence that was not accepted", async () => {
      hub.next("/revision/main", refuse(404, "RevisionNotFound"));
      await fails("HUB_404", /no revision main/, /--revision/);
      hub.next(`/${FILE}`, refuse(404, "EntryNotFound"));
      await fails("HUB_404", /no file weights/, /spelling/);
      hub.always("/revision/main", refuse(403, "GatedRepo"));
      await fails("HUB_404", /granted access/, /then set HF_TOKEN/);
      await fails("HUB_404", /granted access/, /check that the token/, ID, "hf_abc");
      hub.always("/revision/main", refuse(400));
      await fails("NETWORK", /status 400/, /--endpoint/);
    });

    it("tells a server that is not there, and the copy that the cache has", async () => {
      await fetchFile();
      const gone = await startHub({});
      await gone[Symbol.asyncDispose]();
      const failed = fetchFile({ endpoint: gone.url, retries: 0 });
      await failsWith(failed, "NETWORK", /127\.0\.0\.1:\d+: the connection was refused/);
      await failed.catch((error) => {
        assert.match(error.hint, /HF_HUB_OFFLINE=1 uses it, or --model .*weights\.safetensors/);
      });
    });
  });

  describe("and the token", () => {
    const token = "hf_secret";
    const sentTo = (server: HubServer) => server.seen.map(({ headers }) => headers.authorization);

    it("goes to the hub and to no host that the hub names", async () => {
      await using other = await startHub({});
      other.always(FILE, sendFile(DATA));
      hub.always(`/resolve/${COMMIT}/${FILE}`, redirect(`${other.url}/${FILE}`));
      await arrives({ token });
      assert.ok(sentTo(hub).every((header) => header === `Bearer ${token}`));
      assert.deepEqual(sentTo(other), [undefined]);
    });

    it("goes to no host that a link or a page of the listing names", async () => {
      await using other = await startHub({ [FILE]: DATA });
      const link = `<${other.url}/api/models/${ID}/tree/${COMMIT}>; rel="next"`;
      hub.next(`/tree/${COMMIT}`, (_, response) => json(response, [], { link }));
      await arrives({ token });
      assert.deepEqual(sentTo(other), [undefined]);
    });

    it("is in no message, not even if it cannot be sent", async () => {
      for (const bad of ["hf_secret\nx", "hf_secrét"])
        await assert.rejects(fetchFile({ token: bad }), (error: Error) => {
          assert.doesNotMatch(`${error.message} ${(error as DiffusionError).hint}`, /secr/);
          return true;
        });
    });

    it("and signed addresses are in no message", async () => {
      hub.always(`/cdn/${FILE}`, refuse(403));
      await assert.rejects(fetchFile({ token }), (error: Error) => {
        assert.doesNotMatch(`${error.message} ${(error as DiffusionError).hint}`, /secret/);
        return true;
      });
    });
  });

  it("follows no redirect in circles, to nowhere, or to a file of this machine", async () => {
    hub.always(`/cdn/${FILE}`, redirect(`/cdn/${FILE}`));
    await failsWith(fetchFile(), "NETWORK", /in circles/);
    for (const target of ["file:///etc/passwd", "http://"]) {
      hub.always(`/cdn/${FILE}`, redirect(target));
      await failsWith(fetchFile(), "NETWORK", /redirects to/);
    }
  });

  describe("and an interruption", () => {
    it("ends it at once and keeps what came", async () => {
      const controller = new AbortController();
      hub.always(`/cdn/${FILE}`, (_, response) => {
        response.writeHead(200, { "content-length": DATA.length });
        response.write(DATA.subarray(0, 12_000));
      });
      const reason = new DOMException("interrupted", "AbortError");
      const download = fetchFile({
        signal: controller.signal,
        onEvent: (event) => {
          if (event.status === "progress" && event.loaded >= 12_000) controller.abort(reason);
        },
      });
      await assert.rejects(download, (error) => error === reason);
      assert.equal(readFileSync(incomplete()).length, 12_000);
      assert.deepEqual(readdirSync(dirname(lockPath())), []);
    });

    it("ends a pause", async () => {
      const controller = new AbortController();
      hub.always("/revision/main", refuse(503));
      const download = fetchFile({
        ...{ signal: controller.signal, baseDelayMs: 60_000 },
        onEvent: ({ status }) => void (status === "retry" && controller.abort()),
      });
      await assert.rejects(download, { name: "AbortError" });
    });
  });

  const lockPath = () =>
    join(cacheDir, ".locks/models--some-org--tiny-sd", `${sha256(DATA)}.fetch`);

  it("lets one of two downloads fetch a file, and the other wait", async () => {
    let release = () => {};
    // Either may come first: the request, or the word that the other waits.
    const waiting = new Promise<void>((resolve) => {
      release = resolve;
    });
    hub.next(`/cdn/${FILE}`, (request, response) => {
      void waiting.then(() => sendFile(DATA)(request, response));
    });
    const onEvent = ({ status }: HubEvent) => void (status === "wait" && release());
    const both = await Promise.all([fetchFile({ onEvent }), fetchFile({ onEvent })]);
    for (const { path } of both) assert.deepEqual(readFileSync(path), DATA);
    assert.deepEqual(both.map(({ fetchedBytes }) => fetchedBytes).sort(), [0, DATA.length]);
    assert.equal(ranges().length, 1);
    assert.ok(!existsSync(lockPath()));
  });
});
