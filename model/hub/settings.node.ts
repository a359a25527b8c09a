/** Where the hub is, who we are to it, and where its files are kept: huggingface_hub's variables. */
import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { DiffusionError } from "../../engine/errors.ts";
import { sameOrigin } from "./connection.ts";
import { isUrl } from "./model-id.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

export interface HubSettings {
  readonly endpoint: string;
  readonly token: string | undefined;
  /** The folder with `models--org--name`. */
  readonly cacheDir: string;
  /** Only the cache may be used. */
  readonly offline: boolean;
}

/** What the caller says wins over the environment. */
export interface HubOverrides {
  readonly endpoint?: string | undefined;
  readonly token?: string | undefined;
  readonly cacheDir?: string | undefined;
  readonly offline?: boolean | undefined;
}

const ENDPOINT = "https://huggingface.co";

/**
 * `HF_ENDPOINT`, `HF_TOKEN` or the token's file, `HF_HUB_CACHE` or `HF_HOME`, `HF_HUB_OFFLINE`.
 * `linked` is the server of a link that stands in place of an id: it gets a stored token only if it is
 * the endpoint or the hub itself, any other only a token that was given with it. Throws BAD_REQUEST.
 */
export function hubSettings(
  { endpoint, token, cacheDir, offline }: HubOverrides = {},
  linked?: string,
  env: Environment = process.env,
): HubSettings {
  const home = env.HF_HOME || join(env.XDG_CACHE_HOME || join(homedir(), ".cache"), "huggingface");
  const own = checkEndpoint(endpoint ?? (env.HF_ENDPOINT || ENDPOINT));
  const used = linked ?? own;
  const trusted = sameOrigin(used, own) || sameOrigin(used, ENDPOINT);
  return {
    endpoint: sameOrigin(used, own) ? own : used,
    token: checkToken(token ?? (trusted ? storedToken(env, untilde(home)) : undefined)),
    cacheDir: resolve(
      untilde(cacheDir || env.HF_HUB_CACHE || env.HUGGINGFACE_HUB_CACHE || join(home, "hub")),
    ),
    offline: offline ?? (isTrue(env.HF_HUB_OFFLINE) || isTrue(env.TRANSFORMERS_OFFLINE)),
  };
}

function checkEndpoint(endpoint: string): string {
  const url = isUrl(endpoint) && URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (url && !url.username && !url.password && !url.search && !url.hash)
    return url.href.replace(/\/+$/, "");
  throw new DiffusionError("BAD_REQUEST", "the endpoint is not an address like https://host", {
    hint: `Set --endpoint or HF_ENDPOINT; the hub's own is ${ENDPOINT}.`,
  });
}

function storedToken(env: Environment, home: string): string | undefined {
  if (isTrue(env.HF_HUB_DISABLE_IMPLICIT_TOKEN)) return undefined;
  const token = env.HF_TOKEN ?? env.HUGGING_FACE_HUB_TOKEN;
  if (token?.trim()) return token;
  try {
    return readFileSync(untilde(env.HF_TOKEN_PATH || join(home, "token")), "utf8");
  } catch {
    return undefined;
  }
}

/** Never in a message: `fetch` would quote a header that it cannot send. */
function checkToken(text: string | undefined): string | undefined {
  const token = text?.trim();
  if (!token) return undefined;
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new DiffusionError("BAD_REQUEST", "the token holds characters that no token has", {
    hint: "Look at HF_TOKEN, --token or the token's file: it is one word, like hf_...",
  });
}

const isTrue = (value: string | undefined) => /^(?:1|on|yes|true)$/i.test(value ?? "");

const untilde = (path: string) => path.replace(/^~(?=$|[/\\])/, homedir());
