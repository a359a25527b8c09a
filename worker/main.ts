/** What runs in the worker. */
import { StableDiffusion } from "../model/index.ts";
import type { Port } from "./protocol.ts";
import { serve } from "./serve.ts";

serve(globalThis as unknown as Port, StableDiffusion.fromPretrained);
