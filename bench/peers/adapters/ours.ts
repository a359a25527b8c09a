/** This project, measured as the others are. */
import { compile, openDevice, WeightCache } from "../../../engine/index.ts";
import { compileStage, destroyStage } from "../../../tools/verify/networks.ts";
import { VERSION } from "../../../tools/version.node.ts";
import { caseGraph } from "../../ops/graph.ts";
import { WEIGHTS } from "../../ops/operands.ts";
import { openUnet } from "../lone-unet.ts";
import type { Peer } from "../peer.ts";
import { readUnetCase } from "../unet-case.ts";

/** `whole`: keys and values of the text and the time embedding are computed in every evaluation too. */
export async function ours({ whole }: { readonly whole: boolean }): Promise<Peer> {
  const device = await openDevice();
  return {
    name: "wgsl-diffusion",
    version: VERSION,
    async prepare(c, given) {
      const plan = await compile(device, { y: caseGraph(c, given, "f32") });
      for (const [name, { data }] of Object.entries(given)) {
        if (!WEIGHTS.includes(name)) plan.write(name, data);
      }
      return {
        run() {
          plan.run();
          return plan.done();
        },
        output: () => plan.read("y"),
        dispose: () => plan.destroy(),
      };
    },
    async prepareUnet(c) {
      const weights = new WeightCache(device);
      const options = { device, weights, dtype: "f32" } as const;
      const stage = await compileStage.unet(await openUnet(c.unet), await readUnetCase(c), options);
      const step = stage.plans.at(-1)!;
      for (const plan of stage.plans) plan.run();
      return {
        run() {
          for (const plan of whole ? stage.plans : [step]) plan.run();
          return step.done();
        },
        output: () => step.read("y"),
        async dispose() {
          await destroyStage(stage);
          await weights.destroy();
        },
      };
    },
  };
}

export const open = () => ours({ whole: false });
