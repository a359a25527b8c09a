/** The settings of a picture: from the form to a request, and back. */
import { SCHEDULERS } from "../../../model/limits.ts";
import type { GenerateRequest, RequestDefaults, ResolvedRequest } from "../../../model/request.ts";
import { box, element, input, select } from "./page.ts";

const text = (id: string) => element(id, HTMLTextAreaElement);

/** Fills the list of samplers; the empty choice is the model's own. */
export function listSamplers(): void {
  const names = ["", ...SCHEDULERS.filter((name) => !/_(?:exponential|beta)$/.test(name))];
  select("scheduler").replaceChildren(...names.map((name) => new Option(name || "model's", name)));
}

/** What the form asks for. Empty fields are left to the model. */
export function readForm(): GenerateRequest {
  const number = (id: string) => (input(id).value === "" ? undefined : Number(input(id).value));
  return {
    prompt: text("prompt").value,
    negativePrompt: text("negativePrompt").value,
    steps: number("steps"),
    guidanceScale: number("guidanceScale"),
    seed: number("seed"),
    scheduler: select("scheduler").value || undefined,
    width: number("width"),
    height: number("height"),
  };
}

/** Puts settings into the form: those that are there. */
export function fillForm(request: Partial<ResolvedRequest>): void {
  const { prompt, negativePrompt, scheduler, strength } = request;
  if (prompt !== undefined) text("prompt").value = prompt;
  text("negativePrompt").value = negativePrompt ?? "";
  for (const name of ["steps", "guidanceScale", "seed", "width", "height"] as const) {
    const value = request[name];
    if (value !== undefined) input(name).value = String(value);
  }
  if (scheduler !== undefined) select("scheduler").value = scheduler;
  if (strength !== undefined) showStrength(strength);
}

export function showStrength(value: number): void {
  input("strength").value = String(value);
  box("strength-value").textContent = String(value);
}

/** What the model says where the form is empty. */
export function showDefaults({ width, height, scheduler }: RequestDefaults): void {
  input("width").placeholder = String(width);
  input("height").placeholder = String(height);
  const own = select("scheduler").options[0];
  if (own) own.textContent = `model's (${scheduler})`;
}
