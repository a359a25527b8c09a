/** The one adapter that a page has, in place of test/support/devices.ts: with default limits and no features. */
import { type Device, type DeviceOptions, openDevice } from "../../../engine/device.ts";

export function describeOnEveryAdapter(
  name: string,
  define: (getDevice: () => Device, adapter: string) => void,
  options: DeviceOptions = {},
): void {
  describe(`${name} (browser)`, () => {
    let device: Device | undefined;
    before(async () => {
      device = await openDevice({ ...options, minimal: true });
    });
    afterEach(() => settled(device!));
    after(() => device?.destroy());
    define(() => device!, "browser");
  });
}

export function describeBothForms(
  name: string,
  define: (getDevice: () => Device, software: boolean) => void,
): void {
  for (const software of [false, true]) {
    const form = software ? "in the form for CPUs" : "in the form for GPUs";
    const suite = (getDevice: () => Device) => define(getDevice, software);
    describeOnEveryAdapter(`${name}, ${form}`, suite, { software, bake: false });
  }
}

export async function settled(device: Device): Promise<void> {
  await device.gpu.queue.onSubmittedWorkDone();
  device.check();
}
