#!/usr/bin/env node
/** The bin. The pipeline is loaded when a command wants it: `--help` must not wait for a GPU. */
import { runProcess } from "./process.node.ts";

await runProcess(process.argv.slice(2), async (directory, options) => {
  const { StableDiffusion } = await import("../../model/pipeline.ts");
  return StableDiffusion.fromPretrained(directory, options);
});
