/** Names from a repository that become names on this machine. */
import { DiffusionError } from "../../engine/errors.ts";
import { safeFileName } from "../safe-name.ts";

/**
 * `path` if every part of it is a plain name under the rules of POSIX and of Windows: "unet/config.json".
 * Throws PATH that says where the name came from.
 */
export function safeRepoPath(path: string, from: string): string {
  for (const part of path.split("/")) safeFileName(part, from);
  return path;
}

/** A branch, tag, commit or `refs/pr/1`; it names a file under `refs/`. Throws PATH. */
export function safeRevision(revision: string): string {
  const parts = revision.split("/");
  if (revision.length <= 200 && parts.every((part) => /^\w(?:[\w.+-]*[\w+-])?$/.test(part)))
    return revision;
  const shown = JSON.stringify(revision.slice(0, 100));
  throw new DiffusionError("PATH", `${shown} cannot be the name of a revision`, {
    hint: "A revision is a branch (main), a tag, or a commit.",
  });
}
