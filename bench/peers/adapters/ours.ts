/** This project, measured as the others are. */
import { compile, openDevice } from "../../../engine/index.ts";
import { VERSION } from "../../../tools/version.node.ts";
import { caseGraph } from "../../ops/graph.ts";
import { WEIGHTS } from "../../ops/operands.ts";
import type { Peer } from "../peer.ts";

export async function open(): Promise<Peer> {
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
  };
}
