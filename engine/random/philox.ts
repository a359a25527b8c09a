/** Four 32-bit words. */
export type Words = readonly [number, number, number, number];

const ROUNDS = 10;
const MULTIPLIERS = [0xd2511f53, 0xcd9e8d57] as const;
/** The golden ratio and √3 - 1, in 32 bits: what the key grows by after each round. */
const WEYL = [0x9e3779b9, 0xbb67ae85] as const;

/**
 * Salmon, Moraes, Dror & Shaw 2011, "Parallel Random Numbers: As Easy as 1, 2, 3": Philox4x32-10, a
 * block of random words as a function of its number and the key, with no state between.
 */
export function philox(counter: Words, key: readonly [number, number]): Words {
  let [a, b, c, d] = counter;
  let [k, l] = key;
  for (let round = 0; round < ROUNDS; round++) {
    const [aHigh, aLow] = multiply(MULTIPLIERS[0], a);
    const [cHigh, cLow] = multiply(MULTIPLIERS[1], c);
    [a, b, c, d] = [(cHigh ^ b ^ k) >>> 0, cLow, (aHigh ^ d ^ l) >>> 0, aLow];
    k = (k + WEYL[0]) >>> 0;
    l = (l + WEYL[1]) >>> 0;
  }
  return [a, b, c, d];
}

/** The high and the low word of the product of two words, by halves that are exact in a double. */
function multiply(a: number, b: number): readonly [high: number, low: number] {
  const low = a * (b & 0xffff);
  const high = a * (b >>> 16) + Math.floor(low / 2 ** 16);
  return [Math.floor(high / 2 ** 16), Math.imul(a, b) >>> 0];
}
