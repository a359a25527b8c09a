/** What this browser's GPU can do for us, and what it lacks. */
import { box, listItems } from "./page.ts";

export interface AdapterFacts {
  readonly name: string;
  readonly facts: readonly string[];
  /** Nothing can be painted. */
  readonly missing: boolean;
}

const DEFAULT_BINDING = 128 * 2 ** 20;

export async function describeAdapter(): Promise<AdapterFacts> {
  const gpu = navigator.gpu as GPU | undefined;
  if (!gpu) {
    const secure = globalThis.isSecureContext
      ? "This browser has no WebGPU. Chrome or Edge 113+, Safari 26+, Firefox 141+ on Windows and 145+ on macOS have it."
      : "WebGPU is only there on secure pages: open this one over https, or on localhost.";
    return { name: "No WebGPU", facts: [secure], missing: true };
  }
  const adapter = await gpu
    .requestAdapter({ powerPreference: "high-performance" })
    .catch(() => null);
  if (!adapter) {
    const why = "The browser has WebGPU, but no GPU for it: chrome://gpu says why.";
    return { name: "No GPU", facts: [why], missing: true };
  }
  const { vendor, architecture, description, device } = adapter.info;
  const name = description || device || [vendor, architecture].filter(Boolean).join(" ") || "A GPU";
  return { name, facts: factsOf(adapter, `${name} ${architecture}`), missing: false };
}

function factsOf({ features, limits, info }: GPUAdapter, told: string): string[] {
  const software = info.isFallbackAdapter || /swiftshader|llvmpipe|basic render/i.test(told);
  const gib = (bytes: number) => `${(bytes / 2 ** 30).toFixed(2)} GiB`;
  const binding = limits.maxStorageBufferBindingSize;
  return [
    software
      ? "It computes on the CPU: about 1000 times slower than a GPU. The small model takes minutes, Stable Diffusion 2 hours."
      : "It is a GPU.",
    features.has("shader-f16")
      ? "It has shader-f16: halves are computed with as they are."
      : "It lacks shader-f16: halves are stored packed and computed with in f32; that works, and is slower.",
    features.has("subgroups" as GPUFeatureName)
      ? "It has subgroups."
      : "It lacks subgroups: kernels without them run.",
    `One buffer holds ${gib(limits.maxBufferSize)}, one binding ${gib(binding)}${binding > DEFAULT_BINDING ? "" : ": large pictures are computed in bands"}.`,
  ];
}

export function showAdapter({ name, facts, missing }: AdapterFacts): void {
  box("adapter-name").textContent = name;
  listItems(box("adapter-facts"), facts);
  if (missing) box("adapter").setAttribute("open", "");
}
