/** A contestant's process: does what `contest.ts` asks, one thing after another. */

import { maxError } from "../../tools/verify/compare.ts";
import { type Elapsed, timed } from "../clock.ts";
import type { OpCase } from "../ops/cases.ts";
import { operands } from "../ops/operands.ts";
import { sampledError } from "../ops/reference.ts";
import type { Peer, Prepared } from "./peer.ts";
import { readUnetCase, type UnetCase } from "./unet-case.ts";

/** What is contested: an operation, or a whole UNet. */
export type Match = { readonly name: string } & (
  | { readonly op: OpCase }
  | { readonly unet: UnetCase }
);

export type Question =
  | { readonly ask: "open" }
  | { readonly ask: "prepare"; readonly match: Match }
  | { readonly ask: "run" }
  | { readonly ask: "dispose" };

export interface Prepare {
  /** max|Δ| / max|reference|. */
  readonly worst: number;
  /** The first run, with whatever it had to compile. */
  readonly firstMs: number;
}

export type Answer = Readonly<Record<string, unknown>> | { readonly error: string };

let peer: Peer;
let prepared: Prepared | undefined;

async function answer(question: Question): Promise<Answer> {
  switch (question.ask) {
    case "open": {
      const { open } = await import(`./adapters/${process.argv[2]}.ts`);
      peer = await open();
      return { name: peer.name, version: peer.version };
    }
    case "prepare":
      return { ...(await prepare(question.match)) };
    case "run":
      return { times: await turn(prepared!) };
    case "dispose":
      await prepared?.dispose();
      prepared = undefined;
      return {};
  }
}

async function prepare(match: Match): Promise<Prepare> {
  if ("unet" in match) {
    if (!peer.prepareUnet) throw new Error("it takes no whole network");
    prepared = await peer.prepareUnet(match.unet);
    const { wallMs } = await timed(() => prepared!.run());
    const { output } = await readUnetCase(match.unet);
    return { worst: maxError(await prepared.output(), output.data), firstMs: wallMs };
  }
  const given = operands(match.op);
  prepared = await peer.prepare(match.op, given);
  const { wallMs } = await timed(() => prepared!.run());
  return { worst: sampledError(match.op, given, await prepared.output()), firstMs: wallMs };
}

/**
 * A turn is several runs where one is short: a machine's scheduler gives others the CPU for about this long, and
 * one run of a millisecond measures whether that happened to it.
 */
const TURN_MS = 40;
const TURN_RUNS = 10;

async function turn({ run }: Prepared): Promise<Elapsed[]> {
  const times: Elapsed[] = [];
  const end = performance.now() + TURN_MS;
  do {
    const { wallMs, cpuMs } = await timed(run);
    times.push({ wallMs, cpuMs });
  } while (performance.now() < end && times.length < TURN_RUNS);
  return times;
}

process.on("message", async (question: Question) => {
  try {
    process.send!(await answer(question));
  } catch (error) {
    process.send!({ error: String((error as Error)?.message ?? error).split("\n")[0] });
  }
});
