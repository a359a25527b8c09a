"""Varied English for a scene, drawn afresh each time: synonyms, sizes now and then, both readings of a relation."""

from words import (COLOUR_WORDS, INVERSE, PLAIN, PLAIN_WORDS, RELATION_WORDS, SETTING_WORDS,
                   SHAPE_WORDS, SIZE_WORDS)

OPENINGS = ("", "", "", "", "a picture of ", "a photo of ", "an image of ", "there is ")


def caption(scene, rng, mirrored=False):
    """One caption of a scene; mirrored when its picture is flipped left to right."""
    text = things(scene, rng, mirrored)
    if rng.random() < 0.75:
        text = with_setting(text, scene["setting"], rng)
    return pick(OPENINGS, rng) + text


def things(scene, rng, mirrored):
    objects, relation = scene["objects"], scene["relation"]
    if len(objects) == 1:
        return noun(objects[0], rng)
    if mirrored and relation in ("left of", "right of"):
        relation = INVERSE[relation]
    if rng.random() < 0.5:
        objects, relation = objects[::-1], INVERSE[relation]
    a, b = (noun(o, rng) for o in objects)
    if rng.random() < 0.06:
        return f"{a} and {b}"
    verb = " is " if rng.random() < 0.1 else " "
    return f"{a}{verb}{pick(RELATION_WORDS[relation], rng)} {b}"


def noun(o, rng):
    words = [pick(COLOUR_WORDS[o["colour"]], rng), pick(SHAPE_WORDS[o["shape"]], rng)]
    if o["size"] in SIZE_WORDS and rng.random() < 0.7:
        words.insert(0, pick(SIZE_WORDS[o["size"]], rng))
    article = "an" if words[0][0] in "aeiou" else "a"
    return " ".join([article if rng.random() < 0.9 else "the", *words])


def with_setting(text, setting, rng):
    place = setting_words(setting, rng)
    if rng.random() < 0.1:
        return f"{place}, {text}"
    return f"{text}, {place}" if rng.random() < 0.3 else f"{text} {place}"


def setting_words(setting, rng):
    if setting in PLAIN:
        word = "gray" if setting == "grey" and rng.random() < 0.4 else setting
        return pick(PLAIN_WORDS, rng).format(word)
    return pick(SETTING_WORDS[setting], rng)


def pick(options, rng):
    return options[rng.integers(len(options))]
