/** Which adapters are a CPU that plays a GPU. */

/** True for an adapter that computes on the CPU. Browsers say little: some give an architecture only. */
export function isSoftware(info: GPUAdapterInfo): boolean {
  const told = [info.architecture, info.device, info.description].join(" ");
  return (
    info.isFallbackAdapter === true ||
    /llvmpipe|lavapipe|swiftshader|basic render driver/i.test(told)
  );
}
