/** A model of the hub, by its listing. */
import { DiffusionError } from "../../engine/errors.ts";
import { chooseFiles, isPickle, onlyPickles } from "../hub/choose.ts";
import type { HubConnection } from "../hub/connection.ts";
import type { HubEvent } from "../hub/events.ts";
import type { Asked } from "../hub/faults.ts";
import { listFiles, type RemoteFile } from "../hub/listing.ts";
import { decodeText, parseJson } from "./files.ts";
import { fetchWhole, type RemoteModel } from "./remote.ts";

/**
 * Asks the hub for the files that `asked` needs: all of a diffusers folder, or one file. Throws HUB_404,
 * NETWORK, WEIGHTS_MISSING, WEIGHTS_FORMAT, WEIGHTS_SHARD, PATH.
 */
export async function askHub(
  asked: Asked,
  variant: string | undefined,
  hub: HubConnection,
  onEvent: (event: HubEvent) => void,
): Promise<RemoteModel> {
  const { id, file } = asked;
  const { commit, files } = await listFiles(hub, asked);
  const byPath = new Map(files.map((each) => [each.path, each]));
  const pinned = { id, revision: commit };
  const model = { path: id, name: id, asked: pinned };
  if (file !== undefined) return { ...model, files: [only(file, asked, byPath)] };
  const choice = await chooseFiles([...byPath.keys()], {
    ...{ name: id, variant },
    async readJson(path) {
      const bytes = await fetchWhole(byPath.get(path)!, hub, pinned);
      return parseJson(decodeText(bytes, path, "CONFIG"), path, "CONFIG");
    },
  });
  for (const message of choice.warnings) onEvent({ status: "warning", name: id, message });
  return { ...model, files: choice.files.map((path) => byPath.get(path)!) };
}

function only(file: string, { id, revision }: Asked, files: ReadonlyMap<string, RemoteFile>) {
  if (isPickle(file)) throw onlyPickles(id, file);
  const found = files.get(file);
  if (found) return found;
  const others = [...files.keys()].filter((path) => path.endsWith(".safetensors")).slice(0, 6);
  throw new DiffusionError("HUB_404", `${id} has no file ${file} at revision ${revision}`, {
    hint: `It has ${others.join(", ") || "no .safetensors files"}.`,
  });
}
