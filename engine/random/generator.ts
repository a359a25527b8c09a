/** A stream of normal noise; each kind of generator is one file of this folder. */
export type Generator = {
  /** The next `count` values of N(0, 1): what the next `randn` of the original gives, of this state. */
  randn(count: number): Float32Array;
};
