/** The page: settings in, picture out. All the work is done in a worker. */
import { describeAdapter, showAdapter } from "./adapter.ts";
import { watchDrops } from "./drop.ts";
import { listSamplers, readForm, showDefaults } from "./form.ts";
import { keepOutside, startFrom, startPicture, watchMask } from "./mask.ts";
import { currentModel, unload, watchModel } from "./model.ts";
import { box, button, element } from "./page.ts";
import { hideProblem, showProblem } from "./problem.ts";
import { hideProgress, showProgress, showStep } from "./progress.ts";
import { remember, shownPicture, showPainted, showPreview } from "./results.ts";

let running: AbortController | undefined;

listSamplers();
watchModel();
watchMask();
watchDrops();
void describeAdapter().then(showAdapter);

const form = element("settings", HTMLFormElement);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  void paint();
});
button("cancel").addEventListener("click", () => running?.abort());
button("use").addEventListener("click", () => startFrom(shownPicture()));
addEventListener("keydown", (event) => {
  if (event.key === "Escape") running?.abort();
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
});

async function paint(): Promise<void> {
  if (running) return;
  running = new AbortController();
  const { signal } = running;
  busy(true);
  hideProblem();
  try {
    showProgress("Starting");
    box("progress").scrollIntoView({ block: "nearest" });
    await paintOne(signal);
  } catch (error) {
    if (!signal.aborted) {
      showProblem(error);
      await unload();
    }
  } finally {
    running = undefined;
    hideProgress();
    busy(false);
  }
}

async function paintOne(signal: AbortSignal): Promise<void> {
  const started = performance.now();
  const model = await currentModel(signal);
  showDefaults(model.defaults);
  const start = startPicture();
  const knowsMasks = model.defaults.kind === "inpainting";
  showProgress("Loading the weights and compiling the shaders");
  const result = await model.generate({
    ...readForm(),
    ...(start && { image: start.image, strength: start.strength }),
    ...(start?.mask && knowsMasks && { mask: start.mask }),
    signal,
    onStep: showStep,
    onPreview: ({ image }) => showPreview(image),
  });
  if (start && !knowsMasks) keepOutside(result.images[0]!, start);
  const painted = { result, ms: performance.now() - started };
  remember(painted);
  await showPainted(painted);
}

function busy(is: boolean): void {
  button("paint").disabled = is;
  button("cancel").disabled = !is;
}
