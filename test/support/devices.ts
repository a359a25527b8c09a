/** The adapters of this machine, each opened once per process, and suites that run on all of them. */
import { type Device, type DeviceOptions, openDevice } from "../../engine/device.ts";
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

const opened = new Map<string, Promise<OpenAdapter[]>>();

/**
 * Every adapter that this machine offers (and the environment admits), opened with these options.
 * Throws if there is none.
 */
export function adapters(options: DeviceOptions = {}): Promise<readonly OpenAdapter[]> {
  const key = JSON.stringify(options);
  const devices = opened.get(key) ?? openAll(options);
  opened.set(key, devices);
  return devices;
}

// One after another: the choice of a Vulkan driver goes through the environment of the process.
async function openAll(options: DeviceOptions): Promise<OpenAdapter[]> {
  const found: OpenAdapter[] = [];
  for (const name of wantedKinds()) {
    const device = await tryOpen(name, options);
    if (device) found.push({ name, device });
  }
  if (found.length > 0) return found;
  throw new Error(
    `none of the adapters ${wantedKinds().join(", ")} opens: no kernel can be tested`,
  );
}

async function tryOpen(adapter: AdapterKind, options: DeviceOptions): Promise<Device | undefined> {
  try {
    return await openDevice({ ...options, adapter });
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
  options: DeviceOptions = {},
): void {
  for (const kind of wantedKinds()) {
    describe(`${name} (${kind})`, () => {
      let device: Device | undefined;
      before(async function () {
        device = (await adapters(options)).find((adapter) => adapter.name === kind)?.device;
        if (!device) this.skip();
      });
      afterEach(() => device && settled(device));
      define(() => device!, kind);
    });
  }
}

/**
 * A suite for kernels that come in two forms, for GPUs and for CPUs that play one: each on every adapter,
 * with sizes as uniforms, so that one compilation serves all cases.
 */
export function describeBothForms(
  name: string,
  define: (getDevice: () => Device, software: boolean) => void,
): void {
  for (const software of [false, true]) {
    const form = software ? "in the form for CPUs" : "in the form for GPUs";
    const suite = (getDevice: () => Device) => define(getDevice, software);
    describeOnEveryAdapter(`${name}, ${form}`, suite, { software, bake: false, matrix: false });
  }
}

/**
 * A suite for kernels on matrix units, with sizes as uniforms. It is skipped on adapters without such units, but
 * fails there where WGSL_DIFFUSION_MATRIX=on says that there are some.
 */
export function describeOnMatrixUnits(
  name: string,
  define: (getDevice: () => Device, adapter: AdapterKind) => void,
): void {
  const suite = (getDevice: () => Device, adapter: AdapterKind) => {
    before(function () {
      if (getDevice().target.matrix) return;
      if (process.env.WGSL_DIFFUSION_MATRIX === "on")
        throw new Error(`${adapter} shows no matrix units that the kernels can use`);
      this.skip();
    });
    define(getDevice, adapter);
  };
  describeOnEveryAdapter(`${name}, on matrix units`, suite, { matrix: true, bake: false });
}

/** Throws the fault of anything that was submitted so far. */
export async function settled(device: Device): Promise<void> {
  await device.gpu.queue.onSubmittedWorkDone();
  device.check();
}
