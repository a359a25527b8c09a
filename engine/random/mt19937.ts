/** The generator behind PyTorch's CPU noise and NumPy's RandomState. */

const STATE_WORDS = 624;
const STATE_SHIFT = 397;

/** Matsumoto & Nishimura 1998, "Mersenne Twister": the next 32-bit word at each call. */
export function mt19937(seed: number): () => number {
  const state = new Uint32Array(STATE_WORDS);
  state[0] = seed;
  for (let i = 1; i < STATE_WORDS; i++) {
    const before = state[i - 1]!;
    state[i] = Math.imul(1812433253, before ^ (before >>> 30)) + i;
  }
  let index = STATE_WORDS;
  return () => {
    if (index === STATE_WORDS) {
      twist(state);
      index = 0;
    }
    return temper(state[index++]!);
  };
}

function twist(state: Uint32Array): void {
  for (let i = 0; i < STATE_WORDS; i++) {
    const bits = (state[i]! & 0x80000000) | (state[(i + 1) % STATE_WORDS]! & 0x7fffffff);
    const mixed = (bits >>> 1) ^ (bits & 1 ? 0x9908b0df : 0);
    state[i] = state[(i + STATE_SHIFT) % STATE_WORDS]! ^ mixed;
  }
}

function temper(word: number): number {
  let bits = word ^ (word >>> 11);
  bits ^= (bits << 7) & 0x9d2c5680;
  bits ^= (bits << 15) & 0xefc60000;
  return (bits ^ (bits >>> 18)) >>> 0;
}
