/** The command line as a function: arguments in, exit status out. */
import { Command, CommanderError } from "commander";
import { DiffusionError, EXIT_STATUS } from "../../engine/errors.ts";
import { describeAdapters } from "../../engine/platform/describe.node.ts";
import { VERSION } from "../version.node.ts";
import type { CliContext } from "./context.ts";
import { demoCommand } from "./demo.ts";
import { type DescribeAdapters, devicesCommand } from "./devices.ts";
import { downloadCommand } from "./download.ts";
import { reportFault } from "./faults.ts";
import { generateCommand } from "./generate.ts";
import { inspectCommand } from "./inspect.node.ts";

/**
 * Runs one command. Status: 0 done, 1 failed at run time, 2 wrong usage or input, 3 no usable GPU,
 * 4 weights, 5 network, 130 interrupted. Never throws.
 */
export async function run(
  args: readonly string[],
  context: CliContext,
  describe: DescribeAdapters = describeAdapters,
): Promise<number> {
  try {
    await program(context, describe).parseAsync(args, { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_STATUS.BAD_REQUEST;
    return reportFault(error, context, args.includes("--json"));
  }
}

function program(context: CliContext, describe: DescribeAdapters): Command {
  const root = new Command("wgsl-diffusion")
    .description("Stable Diffusion 2 on hand-written WebGPU shaders")
    .version(VERSION)
    .showHelpAfterError("(--help lists the options)");
  const commands = [
    generateCommand(context),
    demoCommand(context),
    devicesCommand(context, describe),
    inspectCommand(context),
    downloadCommand(context),
    ...["bench"].map(laterCommand),
  ];
  for (const command of commands) root.addCommand(command, { hidden: isLater(command) });
  for (const command of [root, ...commands]) connect(command, context);
  return root;
}

/** Commander's own messages go where ours go, and it must not end the process. */
function connect(command: Command, { terminal }: CliContext): void {
  command.exitOverride().configureOutput({
    writeOut: (text) => terminal.out(text),
    writeErr: (text) => terminal.err(text),
    getOutHasColors: () => false,
    getErrHasColors: () => false,
  });
}

const isLater = (command: Command) => ["bench"].includes(command.name());

function laterCommand(name: string): Command {
  return new Command(name)
    .allowUnknownOption()
    .allowExcessArguments()
    .action(() => {
      throw new DiffusionError("BAD_REQUEST", `\`${name}\` is not in this version`, {
        hint: "This version has generate, demo, devices, inspect and download.",
      });
    });
}
