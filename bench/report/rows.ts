/** The numbers that the project must reach, each with how it is measured. A new number is a new row. */
import { openDevice } from "../../engine/index.ts";
import { fullSizeGraphs } from "../../tools/plans/full-size.ts";
import { hostCost } from "../host-cost.ts";
import { benchKernel, KERNEL_CASES } from "../kernels.ts";
import { sd2Configs } from "../sd2.ts";
import type { Bench } from "./bench.ts";
import { activationsTogether, most } from "./plans.ts";
import { minimalDevicePicture } from "./pytorch.ts";
import { SHAPES_ROWS } from "./shapes.ts";

export interface Row {
  readonly name: string;
  readonly wanted: { readonly atMost: number } | { readonly atLeast: number };
  readonly unit: string;
  /** The value, and in words what else is worth knowing. */
  readonly measure: (bench: Bench) => Promise<Measured> | Measured;
}

export interface Measured {
  readonly value: number;
  readonly note?: string;
}

const MIB = 2 ** 20;

const stage = (name: string, cases: RegExp): Row => ({
  name: `${name}, f32 against PyTorch: max error`,
  wanted: { atMost: 1e-4 },
  unit: "of the largest value",
  async measure(bench) {
    const errors = [...(await bench.stages())].filter(([name]) => cases.test(name));
    return { value: Math.max(...errors.map(([, error]) => error)), note: `${errors.length} cases` };
  },
});

const kernel = ({ name }: (typeof KERNEL_CASES)[number], index: number): Row => ({
  name: `${name}, f32`,
  wanted: { atLeast: 7 },
  unit: "GFLOP/s",
  async measure({ device }) {
    const row = await benchKernel(device, KERNEL_CASES[index]!, "f32", 9);
    const { gflops: value, gflopsByCpu } = row;
    return {
      value,
      note: `by the wall; ${gflopsByCpu.toFixed(1)} by CPU time, if others were busy`,
    };
  },
});

export const ROWS: readonly Row[] = [
  stage("text encoder", /text\//),
  stage("UNet", /unet\//),
  stage("VAE decoder", /vae-decode\//),
  {
    name: "final latents, f32 against diffusers: rms error",
    wanted: { atMost: 1e-5 },
    unit: "of their rms",
    async measure(bench) {
      const pictures = await bench.pictures();
      const note = pictures.map(({ name }) => name).join(", ");
      return { value: Math.max(...pictures.map(({ latentsRms }) => latentsRms)), note };
    },
  },
  {
    name: "pictures against diffusers: samples within 1 level",
    wanted: { atLeast: 99 },
    unit: "%",
    measure: async (bench) => ({
      value: 100 * Math.min(...(await bench.pictures()).map(({ within1 }) => within1)),
    }),
  },
  {
    name: "pictures against diffusers: worst sample",
    wanted: { atMost: 3 },
    unit: "levels",
    measure: async (bench) => ({
      value: Math.max(...(await bench.pictures()).map(({ worst }) => worst)),
    }),
  },
  {
    name: "pictures in f16 against f32: PSNR",
    wanted: { atLeast: 40 },
    unit: "dB",
    measure: async (bench) => ({
      value: Math.min(...(await bench.pictures()).map(({ halfPsnr }) => halfPsnr)),
    }),
  },
  {
    name: "the same request again: pictures that differ",
    wanted: { atMost: 0 },
    unit: "pictures",
    measure: async (bench) => ({
      value: (await bench.pictures()).filter(({ repeats }) => !repeats).length,
    }),
  },
  {
    name: "read-backs of a picture",
    wanted: { atMost: 1 },
    unit: "read-backs",
    measure: async (bench) => ({
      value: Math.max(...(await bench.pictures()).map(({ readBacks }) => readBacks)),
    }),
  },
  {
    name: "full-size UNet evaluation, 512x512 and 768x768",
    wanted: { atMost: 350 },
    unit: "dispatches",
    measure: ({ plans }) => ({
      value: most(plans(), /^unet-/, "dispatches"),
      note: `${most(plans(), /^unet-512-/, "dispatches")} at 512x512`,
    }),
  },
  {
    name: "host cost of a dispatch in the loop",
    wanted: { atMost: 3 },
    unit: "µs",
    async measure() {
      const graphs = fullSizeGraphs(sd2Configs(), { dtype: "f16", size: 512 });
      const { dispatches, wallUs, cpuUs } = await hostCost(graphs.unet!);
      const note = `CPU time ${cpuUs.toFixed(1)} µs; ${dispatches} dispatches, null backend`;
      return { value: wallUs, note };
    },
  },
  {
    name: "activations of all plans of a picture, 512x512, f16",
    wanted: { atMost: 400 },
    unit: "MB",
    measure({ plans }) {
      const largest = most(plans(), /^(?!.*768)/, "activations") / 1e6;
      return { value: activationsTogether() / 1e6, note: `VAE decoder ${largest.toFixed(0)} MB` };
    },
  },
  {
    name: "tiny pipeline with the default limits: worst sample against all limits",
    wanted: { atMost: 1 },
    unit: "levels",
    async measure({ device }) {
      using minimal = await openDevice({ minimal: true });
      return { value: await minimalDevicePicture(device, minimal) };
    },
  },
  {
    name: "largest binding of text encoder and UNet, 512x512 and 768x768, f16",
    wanted: { atMost: 128 },
    unit: "MiB",
    measure: ({ plans }) => ({ value: most(plans(), /^(?!vae)/, "largestBinding") / MIB }),
  },
  {
    name: "largest buffer of text encoder and UNet, 512x512 and 768x768, f16",
    wanted: { atMost: 256 },
    unit: "MiB",
    measure: ({ plans }) => ({ value: most(plans(), /^(?!vae)/, "largestBuffer") / MIB }),
  },
  ...KERNEL_CASES.map(kernel),
  ...SHAPES_ROWS,
];
