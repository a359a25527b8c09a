"""Scenes as records: what stands where, drawn at random, with the held-out combinations barred."""

import json
from pathlib import Path

from words import COLOURS, INVERSE, PLAIN, RELATIONS, SETTINGS, SHAPES, SIZES

HELD_OUT = json.loads((Path(__file__).parent / "heldout.json").read_text())
BARRED_PAIRS = {tuple(pair) for pair in HELD_OUT["pairs"]}
BARRED_TRIPLES = {tuple(t) for t in HELD_OUT["triples"]} | {
    (b, INVERSE[relation], a) for a, relation, b in HELD_OUT["triples"]
}

# Backdrops on which an object of this colour would be lost.
LOST = {
    "white": {"white"}, "black": {"black", "night"}, "red": {"red"}, "yellow": {"yellow", "sand"},
    "green": {"green", "grass"}, "blue": {"blue"}, "purple": {"purple"}, "pink": {"pink"},
    "orange": {"brown"}, "cyan": set(),
}


def sample_scene(rng):
    """One scene: {objects: [{shape, colour, size}], relation | None, setting}. Objects[0] relates to objects[1]."""
    while True:
        scene = propose(rng)
        if is_clear(scene) and not is_held_out(scene):
            return scene


def sample_any_scene(rng):
    """One scene, held out or not: for the judge, which never meets the generator."""
    while True:
        scene = propose(rng)
        if is_clear(scene):
            return scene


def propose(rng):
    count = 1 if rng.random() < 0.3 else 2
    return {
        "objects": [sample_object(rng) for _ in range(count)],
        "relation": RELATIONS[rng.integers(len(RELATIONS))] if count == 2 else None,
        "setting": sample_setting(rng),
    }


def sample_object(rng):
    return {
        "shape": SHAPES[rng.integers(len(SHAPES))],
        "colour": list(COLOURS)[rng.integers(len(COLOURS))],
        "size": ("small", "medium", "medium", "large")[rng.integers(4)],
    }


def sample_setting(rng):
    names = list(PLAIN) if rng.random() < 0.6 else list(SETTINGS)
    return names[rng.integers(len(names))]


def is_clear(scene):
    """Every object stands out from the backdrop, and two objects differ in colour."""
    objects = scene["objects"]
    if any(scene["setting"] in LOST[o["colour"]] for o in objects):
        return False
    return len({o["colour"] for o in objects}) == len(objects)


def is_held_out(scene):
    objects = scene["objects"]
    if any((o["shape"], o["colour"]) in BARRED_PAIRS for o in objects):
        return True
    if len(objects) == 1:
        return False
    return (objects[0]["shape"], scene["relation"], objects[1]["shape"]) in BARRED_TRIPLES


HALF = 0.62  # half the height of a medium object, in world units


def layout(scene, rng):
    """Places the objects: [{shape index, colour, half, centre (x, y, z), yaw}], y up, camera at +z."""
    placed = [place(o, rng) for o in scene["objects"]]
    if len(placed) == 2:
        relate(placed, scene["relation"], rng)
    else:
        alone(placed[0], rng)
    return placed


def place(o, rng):
    half = HALF * SIZES[o["size"]] * rng.uniform(0.95, 1.05)
    yaw = rng.uniform(-0.6, 0.6) if o["shape"] == "torus" else rng.uniform(-0.785, 0.785)
    return {"shape": SHAPES.index(o["shape"]), "colour": COLOURS[o["colour"]], "half": half,
            "centre": [0.0, half, 0.0], "yaw": yaw}


def alone(a, rng):
    a["half"] *= 1.2
    a["centre"] = [rng.uniform(-0.5, 0.5), a["half"], rng.uniform(-0.3, 0.5)]


def relate(placed, relation, rng):
    if relation in ("under", "right of", "behind"):
        placed, relation = placed[::-1], INVERSE[relation]
    a, b = placed
    if relation == "on top of":
        stack(a, b, rng)
    elif relation == "left of":
        side_by_side(a, b, rng)
    else:
        one_before_other(a, b, rng)


def stack(a, b, rng):
    for o in (a, b):
        o["half"] *= 0.88
    x, z = rng.uniform(-0.35, 0.35), rng.uniform(-0.3, 0.2)
    b["centre"] = [x, b["half"], z]
    sunk = 0.04 if SHAPES[b["shape"]] in ("cone", "pyramid") else 0.015
    a["centre"] = [x, 2 * b["half"] + a["half"] - sunk, z]


def side_by_side(a, b, rng):
    gap = (a["half"] + b["half"]) * 1.22 + rng.uniform(0.05, 0.4)
    middle, slant = rng.uniform(-0.15, 0.15), rng.uniform(-0.25, 0.25)
    a["centre"] = [middle - gap / 2, a["half"], slant]
    b["centre"] = [middle + gap / 2, b["half"], -slant]


def one_before_other(a, b, rng):
    """The nearer one stands aside far enough for the other to be recognised."""
    gap = (a["half"] + b["half"]) * 1.22 + rng.uniform(0.2, 0.6)
    aside = rng.choice([-1, 1]) * (0.95 * a["half"] + 0.3 * b["half"]) * rng.uniform(0.9, 1.25)
    a["centre"] = [aside / 2, a["half"], gap / 2 + 0.3]
    b["centre"] = [-aside / 2, b["half"], -gap / 2 + 0.3]
