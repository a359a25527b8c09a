/** `wgsl-diffusion devices`: what there is to run on, what it can do, and why something is refused. */
import { Command } from "commander";
import { DiffusionError, type ErrorCode } from "../../engine/errors.ts";
import type { AdapterDetails, AdapterReport } from "../../engine/platform/describe.node.ts";
import type { CliContext } from "./context.ts";
import { printable } from "./faults.ts";

export type DescribeAdapters = () => Promise<readonly AdapterReport[]>;

export function devicesCommand(context: CliContext, describe: DescribeAdapters): Command {
  return new Command("devices")
    .description("list the GPUs that can be used, and say why others cannot")
    .option("--json", "one JSON object a line on standard output")
    .action(async ({ json }: { json?: boolean }) => {
      const reports = await describe();
      const used = reports.find(isChosen)?.kind;
      for (const report of reports)
        context.terminal.out(json ? `${JSON.stringify(report)}\n` : reportText(report));
      if (used === undefined) throw noneFound(reports);
      if (!json) context.terminal.out(`\n\`generate\` runs on: ${used}\n`);
    });
}

/** What `loadWebGPU` would take: the first that works, or the one that the environment forces. */
function isChosen({ kind, adapter }: AdapterReport): boolean {
  const forced = process.env.WGSL_DIFFUSION_ADAPTER;
  return adapter !== undefined && (!forced || forced === kind);
}

/** Exit status 3; a Dawn that does not load is the deeper reason. */
function noneFound(reports: readonly AdapterReport[]): DiffusionError {
  const code = (reports[0]?.code ?? "NO_ADAPTER") as ErrorCode;
  return new DiffusionError(code, `nothing to run on: ${reports[0]?.reason ?? "no adapter"}`, {
    hint:
      "Linux without a GPU: apt install mesa-vulkan-drivers (Debian 12: from bookworm-backports, " +
      "22.3 is too old).",
  });
}

function reportText({ kind, adapter, reason }: AdapterReport): string {
  const lines = adapter ? adapterLines(adapter) : [`not usable: ${printable(reason ?? "")}`];
  return lines.map((line, i) => `${(i === 0 ? kind : "").padEnd(13)}${line}\n`).join("");
}

function adapterLines(adapter: AdapterDetails): string[] {
  const { description, software, subgroupSize, limits, matrices } = adapter;
  const has = (name: string, detail = "") =>
    `${name} ${adapter.features.includes(name) ? `yes${detail}` : "no"}`;
  const mebibytes = (name: string) => `${((limits[name] ?? 0) / 2 ** 20).toFixed(0)} MiB`;
  return [
    `${printable(description)}${software ? " (software: on the CPU, about 1000 times slower)" : ""}`,
    `features: ${[
      has("shader-f16"),
      has("subgroups", ` (${subgroupSize.join(" to ")} lanes)`),
      has("timestamp-query"),
      has("chromium-experimental-subgroup-matrix"),
    ].join(", ")}`,
    ...(matrices.length > 0 ? [`matrices: ${matrices.join(", ")}`] : []),
    ...switchLines(adapter),
    `limits: buffer ${mebibytes("maxBufferSize")}, binding ${mebibytes("maxStorageBufferBindingSize")}, ` +
      `workgroup memory ${(limits.maxComputeWorkgroupStorageSize ?? 0) / 1024} KiB, ` +
      `${limits.maxComputeInvocationsPerWorkgroup} invocations a workgroup`,
  ];
}

/** Dawn's switches and what each gives: first those that are requested for this adapter. */
function switchLines({ switches }: AdapterDetails): string[] {
  return [true, false].flatMap((requested) => {
    const some = switches.filter((each) => each.requested === requested);
    const texts = some.map(({ value, name, gives }) => `${value} ${name} (${gives})`);
    const title = requested ? "Dawn's switches" : "not requested";
    return texts.length > 0 ? [`${title}: ${texts.join(", ")}`] : [];
  });
}
