/** A page that has the library, and can be asked to use it. */
import { join } from "node:path";
import type { BrowserContext, Page } from "playwright-core";
import type { Reach } from "../page/library.ts";
import { bundle, root } from "./bundle.ts";
import { type Site, scriptPage, startSite } from "./site.ts";

/** A site with that page at /page.html, and the checkpoint that ships at /models/shapes/. */
export async function librarySite(): Promise<Site> {
  const site = await startSite({ "/models/shapes/": join(root, "model/shapes") });
  site.use(await bundle({ library: "test/browser/page/library.ts", worker: "worker/main.ts" }));
  site.use(scriptPage("/bundle/library.js"));
  return site;
}

export async function libraryPage(site: Site, context: BrowserContext): Promise<Page> {
  const page = await context.newPage();
  await page.goto(`${site.url}/page.html`);
  await page.waitForFunction("globalThis.ready");
  return page;
}

/** Runs `work` in the page; it sees `reach` and its argument, and nothing of this file. */
export function inPage<A, R>(
  page: Page,
  work: (reach: Reach, argument: A) => Promise<R>,
  argument: A,
): Promise<R> {
  return page.evaluate(
    ([text, value]) => {
      // tsx names functions by a helper that a page does not have.
      const scope = globalThis as unknown as { reach: Reach; __name: unknown };
      scope.__name ??= (f: unknown) => f;
      return new Function("reach", "argument", `return (${text})(reach, argument)`)(
        scope.reach,
        value,
      );
    },
    [String(work), argument] as const,
  ) as Promise<R>;
}
