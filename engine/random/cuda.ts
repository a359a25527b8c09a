import type { Generator } from "./generator.ts";
import { philox } from "./philox.ts";
import { seedWords } from "./seed.ts";

const { fround } = Math;

/** curand's 2^-32 and 2π·2^-32, as float32. */
const UNIT = 2 ** -32;
const TURN = fround(fround(2 * Math.PI) * UNIT);

/**
 * `torch.Generator("cuda").manual_seed(seed)`, and A1111's `rng_philox.Generator`: successive draws give
 * what successive torch.randn on the GPU give. Element i of draw number n is curand's first normal value
 * of Philox block (n, 0, i, 0) under the 64-bit seed.
 *
 * PyTorch starts as many threads as fit the GPU and lets each draw more where there are more elements, so
 * this is the GPU's draw while `count` is at most its multiprocessors times threads per multiprocessor
 * (RTX 3090: 125,952; RTX 4090: 196,608; A100: 221,184; H100: 270,336) and A1111's beyond. All latents up
 * to 1024x1024 pixels hold 65,536. The float32 operations are curand's in their order, with correctly
 * rounded functions where a GPU's may be one or two units off, so values agree within about 1e-6.
 * Throws BAD_REQUEST for a seed that is no integer, or a number beyond 2^53 (pass a bigint then).
 */
export function createCudaGenerator(seed: number | bigint): Generator {
  const key = seedWords(seed);
  let draw = 0;
  return {
    randn(count) {
      const offset = draw++;
      return Float32Array.from({ length: count }, (_, element) => {
        const [radius, angle] = philox([offset, 0, element, 0], key);
        return boxMuller(radius, angle);
      });
    },
  };
}

/** curand's box_muller, of whose two values PyTorch's thread stores the sine for its first element. */
function boxMuller(x: number, y: number): number {
  const u = fround(fround(x) * UNIT + UNIT / 2);
  const v = fround(fround(y) * TURN + TURN / 2);
  return fround(fround(Math.sqrt(fround(-2 * fround(Math.log(u))))) * fround(Math.sin(v)));
}
