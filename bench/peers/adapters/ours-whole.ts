/** This project, with a UNet evaluation that takes nothing over from the one before. */
import { ours } from "./ours.ts";

export const open = () => ours({ whole: true });
