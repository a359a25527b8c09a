/** A program of this folder in a process of its own, which says one thing and ends. */
import { spawn } from "node:child_process";
import { join } from "node:path";

/** What it wrote to standard output. Throws if it fails, with what it complained of. */
export function talkingProcess(file: string, argument: string): Promise<string> {
  const program = join(import.meta.dirname, file);
  const child = spawn(process.execPath, [...process.execArgv, program, argument], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [said, complaint] = ["", ""];
  child.stdout.on("data", (data) => {
    said += data;
  });
  child.stderr.on("data", (data) => {
    complaint += data;
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve(said);
      else reject(new Error(`${file} ended with ${code}:\n${complaint}`));
    });
  });
}
