/** The built page on a site of its own, and ways to use it. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { BrowserContext, Page } from "playwright-core";
import { build } from "vite";
import { root } from "./bundle.ts";
import { type Site, startSite } from "./site.ts";

const OUT = join(root, ".cache/web-test");
let built: Promise<unknown> | undefined;

/** The page as `vite build` makes it, with the checkpoint that ships. */
export async function webSite(): Promise<Site> {
  built ??= build({
    configFile: join(root, "tools/web/vite.config.ts"),
    logLevel: "error",
    build: { outDir: OUT, emptyOutDir: true },
  });
  await built;
  if (!existsSync(join(OUT, "models/shapes/model_index.json")))
    throw new Error("no model is built");
  return startSite({ "/": OUT });
}

export interface OpenPage {
  readonly page: Page;
  /** Errors of the page's own scripts. */
  readonly faults: string[];
}

export async function openPage(site: Site, context: BrowserContext): Promise<OpenPage> {
  const page = await context.newPage();
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(String(error)));
  await page.goto(`${site.url}/`);
  await page.waitForFunction(
    () => !/Looking/.test(document.getElementById("adapter-name")?.textContent ?? ""),
  );
  return { page, faults };
}

/** Paints with what is in the form, and waits for the picture (or throws what the page says is wrong). */
export async function paint(page: Page, timeout = 300_000): Promise<void> {
  const before = await page.locator("#history li").count();
  await page.click("#paint");
  await page.waitForFunction(
    (count) =>
      document.querySelectorAll("#history li").length > count ||
      document.getElementById("problem")?.hidden === false,
    before,
    { timeout },
  );
  const problem = await problemOf(page);
  if (problem) throw new Error(`${problem.code}: ${problem.message}`);
  await page.waitForFunction(() => document.getElementById("about")?.hidden === false);
}

/** What the page says went wrong, if it says so. */
export async function problemOf(
  page: Page,
): Promise<{ code: string; message: string; hint: string } | undefined> {
  if (!(await page.isVisible("#problem"))) return undefined;
  const text = (id: string) => page.textContent(`#problem-${id}`).then((found) => found ?? "");
  return { code: await text("code"), message: await text("message"), hint: await text("hint") };
}
