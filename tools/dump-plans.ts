/** Writes the text dumps of the full-size plans, with which test/engine/dumps.test.ts compares. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dumpFiles } from "./plans/files.ts";
import type { ConfigFiles } from "./plans/full-size.ts";

const FIXTURES = new URL("../test/fixtures/", import.meta.url);

const parts = JSON.parse(readFileSync(new URL("sd2-keys.json", FIXTURES), "utf8"));
const configs = Object.fromEntries(
  Object.keys(parts).map((part) => [part, parts[part].config]),
) as unknown as ConfigFiles;

mkdirSync(new URL("plans/", FIXTURES), { recursive: true });
for (const [name, text] of dumpFiles(configs)) {
  writeFileSync(new URL(`plans/${name}`, FIXTURES), text);
}
