/** A contestant's process: does what `contest.ts` asks, one thing after another. */
import { timed } from "../clock.ts";
import type { OpCase } from "../ops/cases.ts";
import { operands } from "../ops/operands.ts";
import { sampledError } from "../ops/reference.ts";
import type { Peer, Prepared } from "./peer.ts";

export type Question =
  | { readonly ask: "open" }
  | { readonly ask: "prepare"; readonly c: OpCase }
  | { readonly ask: "run" }
  | { readonly ask: "dispose" };

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
    case "prepare": {
      const given = operands(question.c);
      prepared = await peer.prepare(question.c, given);
      await prepared.run();
      return { worst: sampledError(question.c, given, await prepared.output()) };
    }
    case "run": {
      const { wallMs, cpuMs } = await timed(() => prepared!.run());
      return { wallMs, cpuMs };
    }
    case "dispose":
      await prepared?.dispose();
      prepared = undefined;
      return {};
  }
}

process.on("message", async (question: Question) => {
  try {
    process.send!(await answer(question));
  } catch (error) {
    process.send!({ error: String((error as Error)?.message ?? error).split("\n")[0] });
  }
});
