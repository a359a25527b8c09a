/** The command line as a process of its own: signals, closed pipes, full disks. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { readPng } from "../../../model/png.node.ts";

const root = join(import.meta.dirname, "../../..");
const fakeCli = ["--import", "tsx", "test/support/fake-cli.ts"];

interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: Buffer;
  readonly err: string;
}

/** Starts the command line in the package's folder, for `tsx` is looked up from there. */
function start(args: readonly string[], env: NodeJS.ProcessEnv = {}): ChildProcess {
  return spawn(process.execPath, [...fakeCli, ...args], {
    cwd: root,
    env: { ...process.env, NO_COLOR: "1", ...env },
  });
}

async function ended(child: ChildProcess): Promise<Ended> {
  const out: Buffer[] = [];
  let err = "";
  child.stdout?.on("data", (data) => out.push(data));
  child.stderr?.on("data", (data) => {
    err += data;
  });
  const [status, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) =>
    child.on("close", (...end) => resolve(end)),
  );
  return { status, signal, out: Buffer.concat(out), err };
}

const firstStep = (child: ChildProcess) =>
  new Promise<void>((resolve) =>
    child.stderr?.on("data", (data) => {
      if (String(data).includes("step 1/")) resolve();
    }),
  );

describe("the command line as a process", () => {
  let folder = "";
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "cli-process-"));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));
  const at = (name: string) => join(folder, name);
  const generate = (...args: string[]) => ["generate", "a cat", "-o", at("a.png"), ...args];

  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    it(`stops after the step at ${signal}, with status 130 and no file`, async () => {
      const child = start(generate("--steps", "1000"));
      const end = ended(child);
      await firstStep(child);
      child.kill(signal);
      const { status, err } = await end;
      assert.equal(status, 130);
      assert.match(err, /stopping after this step; once more stops now\n.*interrupted\n$/s);
      assert.deepEqual(readdirSync(folder), []);
    });
  }

  it("goes on when nobody reads its output any more, and says nothing of it", async () => {
    const child = start(generate("--steps", "8", "--json"));
    const end = ended(child);
    await firstStep(child);
    child.stdout?.destroy();
    const { status, err } = await end;
    assert.equal(status, 0);
    assert.ok(!/EPIPE|error|\n {4}at /.test(err), err);
    assert.ok(existsSync(at("a.png")));
  });

  it("survives the end of standard error", async () => {
    const child = start(generate("--steps", "8"));
    const end = ended(child);
    await firstStep(child);
    child.stderr?.destroy();
    assert.equal((await end).status, 0);
  });

  it("writes a whole picture to a pipe, and nothing else", async () => {
    const { status, out } = await ended(start(["generate", "x", "--steps", "1", "-o", "-"]));
    assert.equal(status, 0);
    assert.equal(readPng(out).width, 64);
  });

  it("writes no control characters where standard error is no terminal", async () => {
    const { err } = await ended(start(generate("--steps", "2")));
    assert.ok(!err.includes("\x1b") && !err.includes("\r"));
  });

  it("counts file names from the folder in which npm run was called", async () => {
    const env = { npm_lifecycle_event: "cli", INIT_CWD: folder };
    const { status, err } = await ended(
      start(["generate", "x", "--steps", "1", "-o", "here.png"], env),
    );
    assert.equal(status, 0, err);
    assert.deepEqual(readdirSync(folder), ["here.png"]);
  });

  it("says DISK_FULL where standard output is a file on a full disk", async function () {
    if (!existsSync("/dev/full")) this.skip();
    const args = [...fakeCli, "generate", "x", "--steps", "1", "-o", "-"];
    const stdio = ["ignore", openSync("/dev/full", "w"), "pipe"] as const;
    const { status, stderr } = spawnSync(process.execPath, args, { cwd: root, stdio: [...stdio] });
    assert.equal(status, 1);
    assert.match(String(stderr), /error DISK_FULL: standard output/);
  });

  it("leaves nothing on a disk that is too small for the picture", function () {
    // A file system of 8 KiB needs a name space of our own: Linux with the right to make one.
    const mount = `mount -t tmpfs -o size=8k none "${folder}"`;
    if (spawnSync("unshare", ["-m", "sh", "-c", mount]).status !== 0) this.skip();
    const command = [
      process.execPath,
      ...fakeCli,
      ...generate("--width", "256", "--height", "256", "--steps", "1"),
    ]
      .map((word) => `'${word}'`)
      .join(" ");
    const script = `${mount} && ${command}; echo "status $?"; ls -A "${folder}" | wc -l`;
    const { stdout, stderr } = spawnSync("unshare", ["-m", "sh", "-c", script], {
      cwd: root,
      encoding: "utf8",
    });
    assert.equal(stdout, "status 1\n0\n", stderr);
    assert.match(stderr, /error DISK_FULL: .*a\.png: the disk is full\n/);
  });

  it("says OUTPUT where the folder takes no files", async function () {
    if (!existsSync("/proc/self")) this.skip();
    const { status, err } = await ended(
      start(["generate", "x", "--steps", "1", "-o", "/proc/a.png"]),
    );
    assert.equal(status, 1);
    assert.match(err, /error OUTPUT: \/proc/);
  });
});

describe("npm's scripts", () => {
  // npm writes a lock that its own `npm ci` refuses where the registry lacks one of them.
  it("have a lock with every package for another platform in it", () => {
    const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
    const missing = Object.values<{ optionalDependencies?: object }>(packages)
      .flatMap(({ optionalDependencies = {} }) => Object.keys(optionalDependencies))
      .filter((name) => !packages[`node_modules/${name}`]?.version);
    assert.deepEqual(missing, []);
  });

  it("find nothing to install where all is installed", () => {
    const { status, stderr } = spawnSync(process.execPath, ["tools/setup.mjs"], { cwd: root });
    assert.deepEqual([status, String(stderr)], [0, ""]);
  });

  it("install with npm ci where something is missing or of another version", () => {
    const copy = mkdtempSync(join(tmpdir(), "setup-test-"));
    try {
      const script = [
        `mkdir -p "$0/tools" "$0/shaders" "$0/node_modules" && cp tools/*.mjs "$0/tools/"`,
        `echo '{"packages":{"node_modules/x":{"version":"2.0.0"},"node_modules/y":{"version":"1.0.0","optional":true,"os":["plan9"]}}}' >"$0/package-lock.json"`,
        `echo '{"packages":{"node_modules/x":{"version":"1.0.0"}}}' >"$0/node_modules/.package-lock.json"`,
        `echo 'console.log("npm", process.argv.slice(2).join(" "))' >"$0/npm.js"`,
        `npm_execpath="$0/npm.js" "$1" "$0/tools/setup.mjs"`,
        `echo '{"packages":{"node_modules/x":{"version":"2.0.0"}}}' >"$0/node_modules/.package-lock.json"`,
        `npm_execpath="$0/npm.js" "$1" "$0/tools/setup.mjs" >&2`,
      ].join(" && ");
      const { status, stdout, stderr } = spawnSync("sh", ["-c", script, copy, process.execPath], {
        cwd: dirname(join(root, "package.json")),
        encoding: "utf8",
      });
      assert.equal(status, 0, stderr);
      assert.equal(stdout, "");
      assert.match(
        stderr,
        /^Installing dependencies \(npm ci\) \.\.\.\nnpm ci --ignore-scripts .*\n$/,
      );
    } finally {
      rmSync(copy, { recursive: true });
    }
  });
});
