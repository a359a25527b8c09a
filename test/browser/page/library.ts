/** The library as a page has it, in reach of the tests. */

import * as library from "wgsl-diffusion";
import * as engine from "wgsl-diffusion/engine";
import * as worker from "wgsl-diffusion/worker";
import { readSafetensors } from "../../../engine/safetensors.ts";
import { rangeSource } from "../../../model/files/range-source.ts";
import { openModel } from "../../../model/open.browser.ts";

const reach = {
  ...{ engine, library, worker, openModel, rangeSource, readSafetensors },
  startWorker: () => new Worker("/bundle/worker.js", { type: "module" }),
};

export type Reach = typeof reach;

Object.assign(globalThis, { reach, ready: true });
