/** What is dropped on the page: a picture with settings, any other picture, a model's file or folder. */

import { readPng } from "../../../model/image/encode-png.ts";
import { readImageFile } from "../../../model/image/read.browser.ts";
import type { ResolvedRequest } from "../../../model/request.ts";
import { settingsOf } from "../../settings.ts";
import { fillForm } from "./form.ts";
import { startFrom } from "./mask.ts";
import { chooseFiles } from "./model.ts";
import { input } from "./page.ts";
import { hideProblem, showProblem } from "./problem.ts";

export function watchDrops(): void {
  const over = (is: boolean) => document.body.classList.toggle("dropping", is);
  addEventListener("dragover", (event) => {
    event.preventDefault();
    over(true);
  });
  addEventListener("dragleave", (event) => event.relatedTarget === null && over(false));
  addEventListener("drop", (event) => {
    event.preventDefault();
    over(false);
    void orProblem(() => take(event.dataTransfer));
  });
  input("image").addEventListener("change", () => {
    const [file] = input("image").files ?? [];
    // The same file may be chosen again.
    if (file)
      void orProblem(() => takePicture(file, false)).then(() => (input("image").value = ""));
  });
}

/** Not in TypeScript's own types yet. */
type WithHandle = DataTransferItem & {
  getAsFileSystemHandle?(): Promise<FileSystemHandle | null>;
};

async function orProblem(work: () => Promise<void>): Promise<void> {
  hideProblem();
  await work().catch(showProblem);
}

async function take(dropped: DataTransfer | null): Promise<void> {
  const items = [...(dropped?.items ?? [])];
  const files = [...(dropped?.files ?? [])];
  // Both must be asked for before the first wait: the drop's data are gone after it.
  const handle = (items[0] as WithHandle | undefined)?.getAsFileSystemHandle?.();
  const entry = items[0]?.webkitGetAsEntry();
  if (entry?.isDirectory) {
    const folder = await handle?.catch(() => null);
    const contents = folder ? (folder as FileSystemDirectoryHandle) : await filesIn(entry);
    return chooseFiles(contents, entry.name);
  }
  const [file] = files;
  if (!file) return;
  if (/\.(?:png|jpe?g|webp|gif|avif|bmp)$/i.test(file.name)) return takePicture(file, true);
  chooseFiles(files, file.name);
}

/** A picture that says how it was made fills the form; any other is where to start from. */
async function takePicture(file: File, wantsSettings: boolean): Promise<void> {
  const settings = wantsSettings ? await settingsIn(file) : undefined;
  if (settings) fillForm(settings);
  else startFrom(await readImageFile(file));
}

async function settingsIn(file: File): Promise<Partial<ResolvedRequest> | undefined> {
  if (!/\.png$/i.test(file.name)) return undefined;
  const { texts } = await readPng(new Uint8Array(await file.arrayBuffer()), file.name);
  const found = settingsOf(texts);
  if (!found) return undefined;
  const { prompt, request } = found;
  const known = Object.entries(request).filter(
    ([, value]) => typeof value === "string" || Number.isFinite(value),
  );
  return { ...Object.fromEntries(known), prompt };
}

/** For browsers without handles: all files of a dropped folder, with their paths. */
async function filesIn(entry: FileSystemEntry): Promise<File[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) =>
      (entry as FileSystemFileEntry).file(resolve, reject),
    );
    // A dropped file does not know where it was.
    return [Object.defineProperty(file, "webkitRelativePath", { value: entry.fullPath.slice(1) })];
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: File[] = [];
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    );
    if (some.length === 0) return found;
    for (const each of some) found.push(...(await filesIn(each)));
  }
}
