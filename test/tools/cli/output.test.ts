import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DiffusionError } from "../../../engine/errors.ts";
import { openOutput, writeError } from "../../../tools/cli/output.node.ts";

const data = new Uint8Array([1, 2, 3]);
const stdout = () => assert.fail("standard output was not asked for");

describe("output", () => {
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "output-test-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const at = (name: string) => join(folder, name);
  const open = (name: string, options: { force?: boolean; count?: number } = {}) =>
    openOutput({ path: at(name), count: 1, stdout, ...options });
  const refused = (code: string, work: () => unknown) =>
    assert.throws(work, (error: DiffusionError) => error.code === code && Boolean(error.message));

  it("writes the whole file and leaves nothing else behind", () => {
    assert.equal(open("a.png").write(data, 0, 1), at("a.png"));
    assert.deepEqual(readdirSync(folder), ["a.png"]);
    assert.deepEqual([...readFileSync(at("a.png"))], [1, 2, 3]);
  });

  it("overwrites nothing without --force, and says so before the work", () => {
    writeFileSync(at("a.png"), "old");
    refused("OUTPUT", () => open("a.png"));
    open("a.png", { force: true }).write(data, 0, 1);
    assert.deepEqual([...readFileSync(at("a.png"))], [1, 2, 3]);
  });

  it("does not overwrite a file that came while it worked", () => {
    const output = open("a.png");
    writeFileSync(at("a.png"), "mine");
    refused("OUTPUT", () => output.write(data, 0, 1));
    assert.equal(readFileSync(at("a.png"), "utf8"), "mine");
    assert.deepEqual(readdirSync(folder), ["a.png"]);
  });

  it("numbers several pictures, and refuses if one of the names is taken", () => {
    const output = open("a.png", { count: 2 });
    assert.deepEqual(
      [0, 1].map((i) => output.write(data, i, 2)),
      [at("a-0001.png"), at("a-0002.png")],
    );
    refused("OUTPUT", () => open("a.png", { count: 3 }));
  });

  it("finds a free name where none is given: out.png, out-0001.png, out-0002.png", () => {
    const before = process.cwd();
    process.chdir(folder);
    try {
      const write = (count: number) => {
        const output = openOutput({ count, stdout });
        return Array.from({ length: count }, (_, i) => output.write(data, i, count));
      };
      assert.deepEqual(
        [write(1), write(1), write(2), write(1)],
        [["out.png"], ["out-0001.png"], ["out-0002.png", "out-0003.png"], ["out-0004.png"]],
      );
    } finally {
      process.chdir(before);
    }
  });

  it("refuses a folder that is not there, a file as a folder, a folder as a file, odd names", () => {
    writeFileSync(at("file"), "");
    mkdirSync(at("folder.png"));
    refused("OUTPUT", () => open("missing/a.png"));
    refused("OUTPUT", () => open("file/a.png"));
    refused("OUTPUT", () => open("folder.png", { force: true }));
    refused("BAD_REQUEST", () => open("a.jpg"));
    refused("BAD_REQUEST", () => open("a"));
    refused("PATH", () => open("a\0.png"));
    refused("PATH", () => openOutput({ path: "", count: 1, stdout }));
    refused("OUTPUT", () => open(`${"x".repeat(300)}.png`).write(data, 0, 1));
    assert.deepEqual(readdirSync(folder).sort(), ["file", "folder.png"]);
  });

  it("replaces a link, not what it points to", () => {
    writeFileSync(at("target"), "precious");
    symlinkSync(at("target"), at("a.png"));
    open("a.png", { force: true }).write(data, 0, 1);
    assert.equal(readFileSync(at("target"), "utf8"), "precious");
    assert.ok(statSync(at("a.png")).isFile());
  });

  it("clears away what a killed process left, and nothing that is young or alive", () => {
    const gone = spawnSync(process.execPath, ["--version"]).pid;
    const part = (pid: number) => `.wgsl-diffusion-part-${pid}-x`;
    const old = [part(gone), part(process.pid), ".wgsl-diffusion-part-", "picture.png"];
    for (const name of [...old, `${part(gone)}-young`]) writeFileSync(at(name), "");
    for (const name of old) utimesSync(at(name), 1, 1);
    open("c.png");
    assert.deepEqual(readdirSync(folder).sort(), [...old.slice(1), `${part(gone)}-young`].sort());
  });

  it("gives one picture to standard output, not two", () => {
    const got: Uint8Array[] = [];
    const output = openOutput({ path: "-", count: 1, stdout: (bytes) => got.push(bytes) });
    assert.equal(output.write(data, 0, 1), "-");
    assert.deepEqual(got, [data]);
    refused("BAD_REQUEST", () => openOutput({ path: "-", count: 2, stdout }));
  });

  it("calls a full disk DISK_FULL and every other fault OUTPUT, with the path", () => {
    const fault = (code: string) => writeError(Object.assign(new Error("x"), { code }), "a/b.png");
    assert.equal(fault("ENOSPC").code, "DISK_FULL");
    assert.equal(fault("EDQUOT").code, "DISK_FULL");
    for (const code of ["EACCES", "EROFS", "ENOENT", "EIO"]) {
      assert.equal(fault(code).code, "OUTPUT");
      assert.match(fault(code).message, /^a\/b\.png: ./);
    }
  });
});
