/** What our tests use of node:assert/strict, for a page. */

function fail(message: string): never {
  throw new Error(message);
}

const show = (value: unknown) =>
  JSON.stringify(value, (_, each) => (ArrayBuffer.isView(each) ? [...Object(each)] : each))?.slice(
    0,
    300,
  );

function assert(value: unknown, message = "wanted something true"): asserts value {
  if (!value) fail(message);
}

function equal(actual: unknown, expected: unknown, message = ""): void {
  if (!Object.is(actual, expected)) fail(`${message} ${show(actual)} is not ${show(expected)}`);
}

function deepEqual(actual: unknown, expected: unknown, message = ""): void {
  if (!same(actual, expected)) fail(`${message} ${show(actual)} is not ${show(expected)}`);
}

function notDeepEqual(actual: unknown, expected: unknown, message = ""): void {
  if (same(actual, expected)) fail(`${message} both are ${show(actual)}`);
}

function same(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  const [left, right] = [Object.entries(a), new Map(Object.entries(b))];
  return (
    left.length === right.size &&
    left.every(([key, value]) => right.has(key) && same(value, right.get(key)))
  );
}

function match(text: string, pattern: RegExp): void {
  if (!pattern.test(text)) fail(`${show(text)} does not match ${pattern}`);
}

type Expected = RegExp | ((error: Error) => boolean) | Record<string, unknown>;

async function rejects(work: Promise<unknown> | (() => Promise<unknown>), expected: Expected) {
  let error: unknown;
  try {
    await (typeof work === "function" ? work() : work);
  } catch (thrown) {
    error = thrown;
  }
  if (error === undefined) fail("nothing was thrown");
  check(error as Error, expected);
}

function throws(work: () => unknown, expected: Expected): void {
  let error: unknown;
  try {
    work();
  } catch (thrown) {
    error = thrown;
  }
  if (error === undefined) fail("nothing was thrown");
  check(error as Error, expected);
}

function check(error: Error, expected: Expected): void {
  if (expected instanceof RegExp) match(String(error), expected);
  else if (typeof expected === "function") assert(expected(error), `not the error: ${error}`);
  else
    for (const [key, value] of Object.entries(expected)) {
      const found = (error as unknown as Record<string, unknown>)[key];
      if (value instanceof RegExp) match(String(found), value);
      else equal(found, value, `${error}: ${key}`);
    }
}

export default Object.assign(assert, {
  ...{ ok: assert, equal, strictEqual: equal, deepEqual, deepStrictEqual: deepEqual },
  ...{ notDeepEqual, match, rejects, throws },
});
