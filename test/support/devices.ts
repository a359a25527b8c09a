/** The adapters of this machine, each opened once per process, and suites that run on all of them. */
import { type Device, openDevice } from "../../engine/device.ts";
import { DiffusionError } from "../../engine/errors.ts";
import { ADAPTER_KINDS, type AdapterKind } from "../../engine/platform/dawn.node.ts";

export interface OpenAdapter {
  readonly name: AdapterKind;
  readonly device: Device;
}

/** The kinds to try: all, or the one that WGSL_DIFFUSION_ADAPTER names. */
function wantedKinds(): readonly AdapterKind[] {
  const only = process.env.WGSL_DIFFUSION_ADAPTER;
  return only ? ADAPTER_KINDS.filter((kind) => kind === only) : ADAPTER_KINDS;
}

let opened: Promise<OpenAdapter[]> | undefined;

/** Every adapter that this machine offers (and the environment admits). Throws if there is none. */
export function adapters(): Promise<readonly OpenAdapter[]> {
  opened ??= openAll();
  return opened;
}

// One after another: the choice of a Vulkan driver goes through the environment of the process.
async function openAll(): Promise<OpenAdapter[]> {
  const found: OpenAdapter[] = [];
  for (const name of wantedKinds()) {
    const device = await tryOpen(name);
    if (device) found.push({ name, device });
  }
  if (found.length > 0) return found;
  throw new Error(
    `none of the adapters ${wantedKinds().join(", ")} opens: no kernel can be tested`,
  );
}

async function tryOpen(adapter: AdapterKind): Promise<Device | undefined> {
  try {
    return await openDevice({ adapter });
  } catch (error) {
    if (error instanceof DiffusionError && error.code === "NO_ADAPTER") return undefined;
    throw error;
  }
}

/**
 * One suite per kind of adapter; those that this machine does not offer are skipped. `getDevice` is for
 * use inside of tests and hooks. After each test the device must have no fault.
 */
export function describeOnEveryAdapter(
  name: string,
  define: (getDevice: () => Device, adapter: AdapterKind) => void,
): void {
  for (const kind of wantedKinds()) {
    describe(`${name} (${kind})`, () => {
      let device: Device | undefined;
      before(async function () {
        device = (await adapters()).find((adapter) => adapter.name === kind)?.device;
        if (!device) this.skip();
      });
      afterEach(() => device && settled(device));
      define(() => device!, kind);
    });
  }
}

/** Throws the fault of anything that was submitted so far. */
export async function settled(device: Device): Promise<void> {
  await device.gpu.queue.onSubmittedWorkDone();
  device.check();
}
