/**
 * Engines side by side: each in a process of its own, so that one that crashes ends nothing, and taking
 * turns run by run (A B C A B C ...), so that a machine whose speed drifts drifts for all.
 */
import { type ChildProcess, fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import type { Budget } from "../budget.ts";
import type { Elapsed } from "../clock.ts";
import { type RunOptions, repeat } from "../harness.ts";
import { TOLERANCE } from "../ops/reference.ts";
import { type Spread, spread } from "../stats.ts";
import type { Answer, Match, Prepare, Question } from "./child.ts";
import type { Contestant } from "./contestants.ts";

export interface PeerRow {
  readonly name: string;
  readonly peer: string;
  readonly version: string;
  readonly note: string | null;
  /** Against float64 (a UNet: PyTorch): max|Δ| / max|reference|; null where it could not run. */
  readonly error: number | null;
  readonly right: boolean;
  /** Why there is no result. */
  readonly failure: string | null;
  readonly runs: number;
  readonly ms: Spread | null;
  readonly cpuMs: Spread | null;
  readonly cores: number;
}

/** Every match with every contestant, in the time of `budget`. `tell` hears of each row. */
export async function contest(
  contestants: readonly Contestant[],
  matches: readonly Match[],
  budget: Budget,
  tell: (row: PeerRow) => void,
): Promise<PeerRow[]> {
  const rows: PeerRow[] = [];
  const processes = contestants.map((contestant) => new PeerProcess(contestant));
  try {
    for (const [i, match] of matches.entries()) {
      const options = budget.next(matches.length - i);
      for (const row of await contestOf(processes, match, options)) {
        rows.push(row);
        tell(row);
      }
    }
  } finally {
    for (const each of processes) each.end();
  }
  return rows;
}

async function contestOf(
  processes: readonly PeerProcess[],
  match: Match,
  options: RunOptions,
): Promise<PeerRow[]> {
  const end = performance.now() + options.budgetMs;
  const turns = processes.map((peer) => ({ peer, error: Number.NaN, times: [] as Elapsed[] }));
  const failures = new Map<PeerProcess, string>();
  const attempt = async (peer: PeerProcess, work: () => Promise<void>) => {
    if (failures.has(peer)) return;
    await work().catch((error: Error) => failures.set(peer, error.message));
  };
  for (const { peer } of turns) peer.patienceMs = options.patienceMs ?? PATIENCE_MS;
  for (const turn of turns) {
    await attempt(turn.peer, async () => {
      await turn.peer.open();
      turn.error = (await turn.peer.ask<Prepare>({ ask: "prepare", match })).worst;
    });
  }
  await repeat({ ...options, budgetMs: end - performance.now() }, async () => {
    for (const { peer, times } of turns) {
      await attempt(peer, async () => {
        times.push(...(await peer.ask<{ times: Elapsed[] }>({ ask: "run" })).times);
      });
    }
  });
  for (const { peer } of turns) await peer.ask({ ask: "dispose" }).catch(() => undefined);
  return turns.map(({ peer, error, times }) => {
    const failure = failures.get(peer) ?? null;
    const done = failure === null;
    return {
      name: match.name,
      peer: peer.name,
      version: peer.version,
      note: peer.contestant.note ?? null,
      // JSON has no infinity: a result that is no number at all is off by the largest one.
      error: Number.isNaN(error) ? null : Math.min(error, Number.MAX_VALUE),
      right: done && error <= TOLERANCE.f32,
      failure,
      runs: times.length,
      ms: done ? spread(times.map(({ wallMs }) => wallMs)) : null,
      cpuMs: done ? spread(times.map(({ cpuMs }) => cpuMs)) : null,
      cores: availableParallelism(),
    };
  });
}

/** Longer than anything here takes on two busy cores. */
const PATIENCE_MS = 300_000;

class PeerProcess {
  readonly contestant: Contestant;
  name: string;
  version = "";
  patienceMs = PATIENCE_MS;
  #child: ChildProcess | undefined;

  constructor(contestant: Contestant) {
    this.contestant = contestant;
    this.name = contestant.adapter;
  }

  /** Starts it, again after a crash. Throws what kept it from opening. */
  async open(): Promise<void> {
    if (this.#child) return;
    this.#child = fork(join(import.meta.dirname, "child.ts"), [this.contestant.adapter], {
      execArgv: [...process.execArgv, ...(this.contestant.node ?? [])],
      // Engines talk; what they say is no result.
      stdio: ["ignore", "ignore", process.env.DEBUG ? "inherit" : "ignore", "ipc"],
    });
    const { name, version } = await this.ask<{ name: string; version: string }>({ ask: "open" });
    this.name = name;
    this.version = version;
  }

  /** Throws what the other side threw, or that it is gone. */
  ask<T>(question: Question): Promise<T> {
    const child = this.#child;
    if (!child) return Promise.reject(new Error("it does not run"));
    return new Promise((resolve, reject) => {
      const finish = (done: () => void) => {
        clearTimeout(timer);
        child.off("message", onMessage);
        child.off("exit", onExit);
        done();
      };
      const fail = (why: string) => finish(() => reject(new Error(why)));
      const onMessage = (answer: Answer) => {
        if ("error" in answer) fail(`${question.ask}: ${answer.error}`);
        else finish(() => resolve(answer as T));
      };
      const onExit = (code: number | null, signal: string | null) => {
        this.#child = undefined;
        fail(`${question.ask}: it crashed (${signal ?? code})`);
      };
      const timer = setTimeout(() => {
        this.end();
        fail(`${question.ask}: no answer in ${this.patienceMs / 1000} s`);
      }, this.patienceMs);
      child.on("message", onMessage);
      child.on("exit", onExit);
      child.send(question);
    });
  }

  end(): void {
    this.#child?.kill("SIGKILL");
    this.#child = undefined;
  }
}
