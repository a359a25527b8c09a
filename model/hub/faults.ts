/** What the hub's refusals and a broken network mean to a user, and what helps. */
import { DiffusionError } from "../../engine/errors.ts";

/** A fault that may be gone at the next try; where it is not, it is the error that is reported. */
export class TransientError extends DiffusionError {
  /** How long the server asked us to wait. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, options: { hint?: string; cause?: unknown; retryAfterMs?: number }) {
    super("NETWORK", message, options);
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** What was asked for. */
export interface Asked {
  readonly id: string;
  readonly revision: string;
  readonly file?: string | undefined;
}

export interface Refusal {
  readonly status: number;
  /** `X-Error-Code` of the hub: RepoNotFound, RevisionNotFound, EntryNotFound, GatedRepo. */
  readonly reason: string | undefined;
  /** A token went with the request. */
  readonly withToken: boolean;
  /** The host that answered. */
  readonly host: string;
}

/**
 * HUB_404 for a repository, revision or file that is not there or not for us (401, 403, 404),
 * NETWORK for any other refusal.
 */
export function refused(
  asked: Asked,
  { status, reason, withToken, host }: Refusal,
): DiffusionError {
  const { id, revision, file } = asked;
  if (![401, 403, 404].includes(status))
    return new DiffusionError("NETWORK", `${host} answers ${id} with status ${status}`, {
      hint: "Try again later, or set another server: --endpoint or HF_ENDPOINT.",
    });
  if (reason === "RevisionNotFound")
    return hub404(`${id} has no revision ${revision}`, "Leave out --revision for main.");
  if (reason === "EntryNotFound" || (status === 404 && file !== undefined))
    return hub404(`${id} has no file ${file ?? ""} at revision ${revision}`, wayOut(id));
  if (status === 404) return hub404(`${host} has no model ${id}`, wayOut(id));
  if (reason === "GatedRepo" || status === 403)
    return hub404(
      `${host} gives ${id} only to those who were granted access (status ${status})`,
      `Ask for access on the model's page, then ${tokenHint(withToken)}`,
    );
  // The hub answers 401 for models that do not exist, so as not to say which private ones do.
  return hub404(
    `${host} wants a login for ${id}: it is private, or not there (status 401)`,
    `${wayOut(id)} If it is private or gated, ${tokenHint(withToken)}`,
  );
}

function tokenHint(withToken: boolean): string {
  return withToken
    ? "check that the token that was sent (HF_TOKEN or --token) is valid and may read it."
    : "set HF_TOKEN to a token that may read it.";
}

/** Stability AI's own folders were removed in November 2025. */
function wayOut(id: string): string {
  const removed = /^stabilityai\/(stable-diffusion-(?:2|x4)[\w.-]*)$/.exec(id)?.[1];
  if (!removed) return "Check the spelling, or name a folder instead: --model DIR.";
  return (
    "Stability AI took Stable Diffusion 2 off the hub in November 2025. There are mirrors, such as " +
    `sd2-community/${removed}; or name a folder: --model DIR.`
  );
}

function hub404(message: string, hint: string): DiffusionError {
  return new DiffusionError("HUB_404", message, { hint });
}

/** By the code of Node's network errors. */
const CAUSES: Readonly<Record<string, string>> = {
  ENOTFOUND: "its name is not known (DNS)",
  EAI_AGAIN: "its name cannot be looked up now (DNS)",
  ECONNREFUSED: "the connection was refused",
  ECONNRESET: "the connection broke off",
  UND_ERR_SOCKET: "the connection broke off",
  ETIMEDOUT: "it does not answer",
  UND_ERR_CONNECT_TIMEOUT: "it does not answer",
  ENETUNREACH: "there is no network",
};

/** Only a person can mend these: they are not tried again. */
const TLS = /CERT|SSL|TLS|SIGNATURE|ISSUER/;

/** NETWORK for a request that got no answer, from what `fetch` threw. */
export function unreachable(host: string, cause: unknown, browser = false): DiffusionError {
  // A page is not told what went wrong.
  if (browser)
    return new TransientError(`${host}: no connection`, {
      hint: "Check the connection. A server of another origin must let pages read it (CORS).",
      cause,
    });
  const code = codeOf(cause);
  if (TLS.test(code))
    return new DiffusionError("NETWORK", `${host}: its certificate is not accepted (${code})`, {
      hint: "Behind a proxy that reads along, NODE_EXTRA_CA_CERTS names the file of its certificate.",
      cause,
    });
  const what = CAUSES[code] ?? `no connection${code ? ` (${code})` : ""}`;
  return new TransientError(`${host}: ${what}`, {
    hint: "Check the connection. Behind a proxy: Node 24 or later with NODE_USE_ENV_PROXY=1.",
    cause,
  });
}

/** `fetch` says "fetch failed"; the reason is in its cause, or the causes of that. */
function codeOf(error: unknown): string {
  const { code, cause, errors } = (error ?? {}) as Record<string, unknown>;
  if (typeof code === "string") return code;
  const inner = cause ?? (Array.isArray(errors) ? errors[0] : undefined);
  return inner === undefined ? "" : codeOf(inner);
}
