/** Tests of kernels that Node runs too, here in a page. The page has loaded mocha. */
mocha.setup({ ui: "bdd", timeout: 300_000, reporter: class {} as never });
// They declare their suites when they are loaded.
await import("../../shaders/softmax.test.ts");
await import("../../shaders/layer-norm.test.ts");
await import("../../shaders/group-norm.test.ts");
await import("../../shaders/sampler-step.test.ts");

const results: { title: string; error?: string }[] = [];
mocha
  .run(() => Object.assign(globalThis, { results }))
  .on("pass", (test) => results.push({ title: test.fullTitle() }))
  .on("fail", (test, error) => results.push({ title: test.fullTitle(), error: String(error) }));

export {};
