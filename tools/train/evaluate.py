"""Paints held-out prompts and has the judge say what they show; leaves evaluation.json in the model's folder.

python tools/train/evaluate.py --work DIR --model DIR [--guidance 4] [--count 240]
"""

import argparse
import json
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from PIL import Image

from judge import load_judge, read, relation_between
from render import render
from run import Run
from scenes import is_clear, is_held_out, layout, propose
from vae import psnr, to_network
from words import SIZE_WORDS

BATCH, COLUMNS, EXAMPLES = 12, 4, 16


def held_out_prompts(count, seed=7):
    """A quarter single objects in barred colours; the rest pairs with a barred colour or triple."""
    rng, scenes = np.random.default_rng(seed), []
    while len(scenes) < count:
        scene = propose(rng)
        wanted = 1 if len(scenes) % 4 == 0 else 2
        if len(scene["objects"]) == wanted and is_clear(scene) and is_held_out(scene):
            scenes.append(scene)
    return scenes


def prompt_of(scene):
    """Plain English without synonyms; the backdrop is always said, so that colours stay clear of it."""
    things = f" {scene['relation']} ".join(noun(o) for o in scene["objects"]) if scene["relation"] else noun(scene["objects"][0])
    setting = scene["setting"]
    place = {"grass": "on grass", "sand": "on sand", "night": "at night", "sunset": "at sunset"}
    return f"{things} {place.get(setting, f'on a {setting} background')}"


def noun(o):
    words = [o["colour"], o["shape"]]
    if o["size"] in SIZE_WORDS:
        words.insert(0, o["size"])
    return f"{'an' if words[0][0] in 'aeiou' else 'a'} {' '.join(words)}"


def paint(model, prompts, guidance, steps):
    """[n, 3, 128, 128] in [-1, 1]; picture n has seed n, whatever the batch."""
    pipe = StableDiffusionPipeline.from_pretrained(model, safety_checker=None, dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    parts = []
    for start in range(0, len(prompts), BATCH):
        batch = prompts[start:start + BATCH]
        seeds = [torch.Generator().manual_seed(start + n) for n in range(len(batch))]
        parts.append(pipe(batch, num_inference_steps=steps, guidance_scale=guidance, generator=seeds,
                          output_type="np").images)
    return torch.from_numpy(np.concatenate(parts)).permute(0, 3, 1, 2) * 2 - 1


def score(scene, seen):
    """Which attributes of one picture are right. A relation is judged by the prompt's two colours."""
    objects = scene["objects"]
    colours = {o["colour"] for o in objects} == {c for c, (_, there, _) in seen.items() if there}
    shapes = all(seen[o["colour"]][0] == o["shape"] for o in objects)
    result = {"colours": colours, "shapes": shapes}
    if scene["relation"]:
        result["relation"] = found_relation(scene, seen) == scene["relation"]
    return result | {"all": all(result.values())}


def found_relation(scene, seen):
    return relation_between(*(seen[o["colour"]][2] for o in scene["objects"]))


def report(scenes, seen):
    """Rates for pairs and singles, and what was seen instead of what was asked, per attribute."""
    scores = [score(scene, s) for scene, s in zip(scenes, seen)]
    pairs = [r for r in scores if "relation" in r]
    singles = [r for r in scores if "relation" not in r]
    return {
        "pairs": rates(pairs), "singles": rates(singles), "confusion": confusion(scenes, seen),
        "by relation": {r: rates([s for s, scene in zip(scores, scenes) if scene["relation"] == r])
                        for r in sorted({s["relation"] for s in scenes if s["relation"]})},
    }


def rates(results):
    keys = results[0].keys()
    return {"count": len(results)} | {k: round(float(np.mean([r[k] for r in results])), 3) for k in keys}


def confusion(scenes, seen):
    shapes, colours, relations = Counter(), Counter(), Counter()
    for scene, s in zip(scenes, seen):
        asked = {o["colour"] for o in scene["objects"]}
        found = {c for c, (_, there, _) in s.items() if there}
        shapes.update(f"{o['shape']} -> {s[o['colour']][0]}" for o in scene["objects"])
        colours.update([f"{c} missing" for c in asked - found] + [f"{c} unasked" for c in found - asked])
        if scene["relation"]:
            relations[f"{scene['relation']} -> {found_relation(scene, s)}"] += 1
    return {"shape": dict(shapes.most_common()), "colour": dict(colours.most_common()),
            "relation": dict(relations.most_common())}


@torch.no_grad()
def reconstruction(model, count=48, seed=11):
    """PSNR in dB of the autoencoder as it is stored, on renders that it has not seen, held-out scenes among them."""
    vae = AutoencoderKL.from_pretrained(model, subfolder="vae", torch_dtype=torch.float32)
    rng = np.random.default_rng(seed)
    scenes = [scene for scene in (propose(rng) for _ in range(2 * count)) if is_clear(scene)][:count]
    x = to_network(np.stack([render(scene, layout(scene, rng), rng)[0] for scene in scenes]))
    y = torch.cat([vae.decode(vae.encode(part).latent_dist.mode()).sample for part in x.split(8)])
    return round(psnr(y, x), 2)


def contact_sheet(x, path, count=EXAMPLES):
    """The first pictures, unselected, four in a row."""
    tiles = ((x[:count].permute(0, 2, 3, 1) + 1) * 127.5).round().clamp(0, 255).byte().numpy()
    rows = [np.concatenate(list(tiles[n:n + COLUMNS]), axis=1) for n in range(0, len(tiles), COLUMNS)]
    Image.fromarray(np.concatenate(rows)).save(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, default=Path(".cache/train"))
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--guidance", type=float, default=4.0)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--count", type=int, default=240)
    options = parser.parse_args()
    run = Run(options.work, "cpu")
    scenes = held_out_prompts(options.count)
    prompts = [prompt_of(scene) for scene in scenes]
    x = paint(options.model, prompts, options.guidance, options.steps)
    contact_sheet(x, options.work / "contact.png")
    judge = load_judge(run)
    seen = [s for part in x.split(50) for s in read(judge, part)]
    examples = [{"prompt": prompt, **scene} for prompt, scene in zip(prompts, scenes)][:EXAMPLES]
    result = report(scenes, seen) | {
        "guidance": options.guidance, "steps": options.steps, "scheduler": "ddim",
        "reconstruction PSNR, dB": reconstruction(options.model), "examples": examples}
    text = json.dumps(result, indent=1)
    (options.model / "evaluation.json").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
