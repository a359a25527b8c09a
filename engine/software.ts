/** What adapters are called, and which are a CPU that plays a GPU. */

/** True for an adapter that computes on the CPU. Browsers say little: some give an architecture only. */
export function isSoftware(info: GPUAdapterInfo): boolean {
  const told = [info.architecture, info.device, info.description].join(" ");
  return (
    info.isFallbackAdapter === true ||
    /llvmpipe|lavapipe|swiftshader|basic render driver/i.test(told)
  );
}

/** What people call the adapter; browsers may know its maker and family only. */
export function adapterName({ description, device, vendor, architecture }: GPUAdapterInfo): string {
  return description || device || [vendor, architecture].filter(Boolean).join(" ") || "unknown";
}
