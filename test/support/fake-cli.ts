/** The command line as a process of its own, on the fake pipeline: 50 ms a step. */
import { runProcess } from "../../tools/cli/process.node.ts";
import { fakePipeline } from "./fake-pipeline.ts";

await runProcess(process.argv.slice(2), fakePipeline({ stepMs: 50 }).load);
