/** Walking and rewriting of what can be reached from a set of outputs. */
import type { Tensor } from "./tensor.ts";

export type Outputs = Readonly<Record<string, Tensor>>;

/** Every tensor that the outputs depend on, in order of creation: inputs come before their users. */
export function reachable(outputs: Outputs): Tensor[] {
  const seen = new Set<Tensor>();
  const stack = Object.values(outputs);
  for (let t = stack.pop(); t; t = stack.pop()) {
    if (seen.has(t)) continue;
    seen.add(t);
    stack.push(...Object.values(t.inputs));
  }
  return [...seen].sort((a, b) => a.id - b.id);
}

/** How many tensors (and outputs) read each tensor. */
export function countUses(outputs: Outputs): Map<Tensor, number> {
  const uses = new Map<Tensor, number>();
  const count = (t: Tensor) => uses.set(t, (uses.get(t) ?? 0) + 1);
  for (const t of reachable(outputs)) Object.values(t.inputs).forEach(count);
  Object.values(outputs).forEach(count);
  return uses;
}

/** The same op on other inputs. */
export function withInputs(t: Tensor, inputs: Tensor["inputs"], attrs = t.attrs): Tensor {
  return { ...t, inputs, attrs };
}

/** A new tensor in the place of an old one takes over its turn, and its label if it has none. */
export function standIn(t: Tensor, old: Tensor): Tensor {
  return t.id > old.id ? { ...t, id: old.id, label: t.label || old.label } : t;
}

/**
 * Rebuilds the graph from the leaves up. `step` sees each tensor with its inputs already rebuilt and
 * returns it or another one in its place; `original` is what it was before.
 */
export function rebuild(outputs: Outputs, step: (t: Tensor, original: Tensor) => Tensor): Outputs {
  const done = new Map<Tensor, Tensor>();
  for (const t of reachable(outputs)) {
    const inputs = mapValues(t.inputs, (input) => done.get(input)!);
    const changed = Object.entries(inputs).some(([name, input]) => input !== t.inputs[name]);
    done.set(t, standIn(step(changed ? withInputs(t, inputs) : t, t), t));
  }
  return mapValues(outputs, (t) => done.get(t)!);
}

export function mapValues<A, B>(
  record: Readonly<Record<string, A>>,
  fn: (value: A) => B,
): Record<string, B> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, fn(value)]));
}
