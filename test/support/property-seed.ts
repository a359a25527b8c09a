/** Property tests draw the same cases every time; WGSL_DIFFUSION_SEED draws others. */
import fc from "fast-check";

fc.configureGlobal({ seed: Number(process.env.WGSL_DIFFUSION_SEED ?? 20) });
