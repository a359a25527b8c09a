import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import fc from "fast-check";
import { validateRequest } from "../../../model/request.ts";
import { repeatCommand, shellQuote } from "../../../tools/cli/repeat.ts";
import { KEYWORD, pictureTexts } from "../../../tools/metadata.ts";
import { fakeResult } from "../../support/fake-pipeline.ts";

const record = (value: unknown) => [{ keyword: KEYWORD, text: JSON.stringify(value) }];

describe("the command that paints a picture again", () => {
  it("says all that the picture says, and leaves out what is so anyway", () => {
    const request = validateRequest(
      { prompt: "it's a cat", negativePrompt: "-dogs", seed: 7, steps: 9, numImages: 2 },
      { width: 64, height: 128, scheduler: "euler" },
    );
    assert.equal(
      repeatCommand(pictureTexts(fakeResult(request), 0, "1")),
      "wgsl-diffusion generate 'it'\\''s a cat' --model fake --negative-prompt=-dogs --steps 9 " +
        "--guidance-scale 7.5 --scheduler euler --seed 7 --width 64 --height 128 --num-images 2",
    );
  });

  it("does not name the checkpoint that runs where none is named", () => {
    const texts = record({ request: { prompt: "a cube", seed: 1 }, model: { name: "shapes" } });
    assert.equal(repeatCommand(texts), "wgsl-diffusion generate 'a cube' --seed 1");
  });

  it("says what other tasks ask for, where it is not the usual", () => {
    const tiles = { tile: 64, tileOverlap: 8 };
    const task = { strength: 0.5, noiseLevel: 20, ...tiles, eta: 1, rng: "cuda", clipSkip: 2 };
    const more = { promptSyntax: "a1111", vaeTiling: true, watermark: true };
    assert.equal(
      repeatCommand(record({ request: { prompt: "x", ...task, ...more } })),
      "wgsl-diffusion generate x --rng cuda --strength 0.5 --noise-level 20 --tile 64 " +
        "--tile-overlap 8 --eta 1 --clip-skip 2 --prompt-syntax a1111 --vae-tiling --watermark",
    );
    const usual = { rng: "torch", eta: 0, clipSkip: 0, promptSyntax: "plain", watermark: false };
    assert.equal(
      repeatCommand(record({ request: { prompt: "x", ...usual } })),
      "wgsl-diffusion generate x",
    );
  });

  it("says timesteps, spacing and settings of the scheduler, and where given, files and how they were read", () => {
    const sampling = {
      ...{ timesteps: [900, 5], timestepSpacing: "ays", rescaleBetasZeroSnr: true },
      schedulerConfig: { solver_order: 3, euler_at_final: true, disable_corrector: [0, 2] },
    };
    const options = { image: "../in a.png", mask: "-m.png", depth: "d.safetensors", dtype: "f16" };
    const request = { prompt: "x", maskMode: "alpha", ...sampling };
    assert.equal(
      repeatCommand(record({ request, options: { ...options, prediction: "v", other: "y" } })),
      "wgsl-diffusion generate x --timesteps 900,5 --timestep-spacing ays " +
        "--scheduler-config 'solver_order=3,euler_at_final=true,disable_corrector=[0,2]' --mask-mode alpha " +
        "--image '../in a.png' --mask=-m.png --depth d.safetensors --dtype f16 --prediction v " +
        "--rescale-betas-zero-snr",
    );
  });

  it("of one of several pictures with a seed each asks for that one alone", () => {
    const asked = { prompt: "x", seed: 7, numImages: 3, perImageSeeds: true, steps: 9 };
    const size = { width: 64, height: 64, scheduler: "euler" };
    const texts = pictureTexts(fakeResult(validateRequest(asked, size)), 2, "1");
    assert.equal(
      repeatCommand(texts),
      "wgsl-diffusion generate x --model fake --steps 9 --guidance-scale 7.5 --scheduler euler " +
        "--seed 9 --width 64 --height 64",
    );
    assert.match(texts[0]!.text, /Seed: 9,/);
  });

  it("says how guidance changes, from our record and from parameters alike", () => {
    const told = (request: object) => {
      const resolved = validateRequest(
        { prompt: "x", steps: 3, seed: 1, ...request },
        { width: 64, height: 64, scheduler: "ddim" },
      );
      const [parameters, own] = pictureTexts(fakeResult(resolved), 0, "1");
      const commands = [repeatCommand([own!]), repeatCommand([parameters!])];
      assert.equal(commands[0], commands[1]);
      const usual = / --(?:model|steps|scheduler|seed|width|height) \S+/g;
      return commands[0]!.replaceAll(usual, "");
    };
    assert.equal(
      told({ guidanceStart: 0.25, guidanceStop: 0.75, guidanceRescale: 0.5, guidanceScale: 4 }),
      "wgsl-diffusion generate x --guidance-scale 4 --guidance-rescale 0.5 --guidance-start 0.25 --guidance-stop 0.75",
    );
    assert.equal(
      told({ guidanceSchedule: [9, 5.5, 1], thresholding: "mimic", mimicScale: 5 }),
      "wgsl-diffusion generate x --guidance-scale 7.5 --guidance-schedule 9,5.5,1 --thresholding mimic --mimic-scale 5",
    );
    assert.equal(
      told({
        ...{ guidanceSchedule: "cosine", guidanceFrom: 2, thresholding: "dynamic" },
        ...{ thresholdingRatio: 0.9, sampleMaxValue: 1.5, promptSyntax: "a1111" },
      }),
      "wgsl-diffusion generate x --guidance-scale 7.5 --guidance-schedule cosine --guidance-from 2 " +
        "--thresholding dynamic --thresholding-ratio 0.9 --sample-max-value 1.5 --prompt-syntax a1111",
    );
    assert.equal(told({ prompt: "(x)" }), "wgsl-diffusion generate '(x)' --guidance-scale 7.5");
  });

  it("reads the web UI's prompts in its syntax, and its extension's thresholding", () => {
    const text =
      "[a cat:a dog:0.5]\nSteps: 30, CFG scale: 15, Seed: 5, Dynamic thresholding enabled: True, " +
      "Mimic scale: 7, Threshold percentile: 99.9, Version: v1.10.1";
    assert.equal(
      repeatCommand([{ keyword: "parameters", text }]),
      "wgsl-diffusion generate '[a cat:a dog:0.5]' --steps 30 --guidance-scale 15 --thresholding mimic " +
        "--thresholding-ratio 0.999 --mimic-scale 7 --seed 5 --prompt-syntax a1111",
    );
  });

  it("is told from the web UI's parameters where there is no record of ours", () => {
    const text =
      "a cat\nNegative prompt: dogs\nSteps: 30, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 5, " +
      "Size: 512x768, Model: v2-1_768, Denoising strength: 0.5, Clip skip: 2, Version: v1.6.0";
    assert.equal(
      repeatCommand([{ keyword: "parameters", text }]),
      "wgsl-diffusion generate 'a cat' --model v2-1_768 --negative-prompt dogs --steps 30 --guidance-scale 7 " +
        "--scheduler dpmpp_2m_karras --seed 5 --width 512 --height 768 --strength 0.5 --clip-skip 1",
    );
    const aligned = {
      timestepSpacing: "ays",
      rescaleBetasZeroSnr: true,
      seed: 5,
      steps: 9,
    } as const;
    const size = { width: 64, height: 64, scheduler: "ddim" };
    const own = pictureTexts(
      fakeResult(validateRequest({ prompt: "x", ...aligned }, size)),
      0,
      "1",
    );
    assert.equal(
      repeatCommand(own.slice(0, 1)),
      "wgsl-diffusion generate x --model fake --steps 9 --guidance-scale 7.5 --scheduler ddim --seed 5 " +
        "--width 64 --height 64 --timestep-spacing ays --rescale-betas-zero-snr",
    );
    assert.equal(repeatCommand([{ keyword: "parameters", text: "a cat" }]), undefined);
    assert.equal(repeatCommand([]), undefined);
  });

  it("holds no option that a hostile record made up, and no value that is none", () => {
    const command = repeatCommand(
      record({
        model: { name: "$(rm -rf ~)" },
        options: { force: true, image: {}, mask: ["x"] },
        request: {
          ...{ prompt: "--force", output: "/etc/passwd", force: true, steps: { valueOf: 1 } },
          ...{ seed: null, scheduler: "; reboot", width: "`id`", height: [1, 2], eta: {} },
          ...{ timesteps: [[1]], guidanceScale: [], schedulerConfig: { "a b": 1, c: { d: 1 } } },
        },
      }),
    );
    assert.equal(
      command,
      "wgsl-diffusion generate --prompt=--force --model '$(rm -rf ~)' --scheduler '; reboot' --width '`id`'",
    );
    for (const broken of [1, null, [], { request: 1 }, { request: { prompt: 1 } }])
      assert.equal(repeatCommand(record(broken)), undefined);
  });

  it("is one line for a terminal: nothing in it steers one", () => {
    const prompt = "a\u001b[2Jb\u202e\n\u009b';#";
    const command = repeatCommand(record({ request: { prompt } })) ?? "";
    assert.doesNotMatch(command, /[\p{Cc}\u202e]/u);
  });

  it("quotes so that bash reads back what was written", () => {
    const unit = fc.oneof(
      fc.constantFrom("'", '"', "\\", "$", "`", "\n", "\u001b", "!", "\u202e", "7", " ", "-"),
      fc.string({ unit: "binary", minLength: 1, maxLength: 3 }),
    );
    const texts = fc.sample(
      fc.array(unit, { maxLength: 20 }).map((parts) => parts.join("")),
      { numRuns: 300, seed: 7 },
    );
    const script = `printf '%s\\0' ${texts.map(shellQuote).join(" ")}`;
    const out = execFileSync("bash", ["--norc", "-c", script], {
      env: { LC_ALL: "C" },
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
    });
    assert.deepEqual(
      out.split("\0").slice(0, -1),
      texts.map((text) => text.replaceAll("\0", "").toWellFormed()),
    );
  });
});
