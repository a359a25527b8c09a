"""What can be seen in a scene, what each thing looks like, and the words that name it."""

SHAPES = ("cube", "sphere", "cylinder", "cone", "pyramid", "torus")

SHAPE_WORDS = {
    "cube": ("cube", "cube", "box", "block"),
    "sphere": ("sphere", "sphere", "ball", "globe"),
    "cylinder": ("cylinder", "cylinder", "column", "drum"),
    "cone": ("cone",),
    "pyramid": ("pyramid",),
    "torus": ("torus", "torus", "ring", "donut"),
}

# Albedo in linear RGB. Hues are far apart, so that colour can be judged without a network.
COLOURS = {
    "red": (0.75, 0.03, 0.03),
    "orange": (0.90, 0.24, 0.01),
    "yellow": (0.90, 0.70, 0.02),
    "green": (0.04, 0.45, 0.06),
    "cyan": (0.02, 0.62, 0.65),
    "blue": (0.03, 0.10, 0.75),
    "purple": (0.26, 0.04, 0.55),
    "pink": (0.95, 0.25, 0.45),
    "white": (0.88, 0.88, 0.88),
    "black": (0.02, 0.02, 0.022),
}

COLOUR_WORDS = {name: (name,) for name in COLOURS} | {
    "cyan": ("cyan", "cyan", "turquoise"),
    "purple": ("purple", "purple", "violet"),
}

SIZES = {"small": 0.72, "medium": 1.0, "large": 1.3}

SIZE_WORDS = {
    "small": ("small", "small", "little", "tiny"),
    "large": ("large", "big", "huge"),
}

RELATIONS = ("on top of", "under", "left of", "right of", "in front of", "behind")

INVERSE = {
    "on top of": "under", "under": "on top of",
    "left of": "right of", "right of": "left of",
    "in front of": "behind", "behind": "in front of",
}

RELATION_WORDS = {
    "on top of": ("on top of", "on top of", "on", "above", "standing on", "resting on"),
    "under": ("under", "below", "beneath", "underneath"),
    "left of": ("left of", "to the left of", "to the left of", "on the left of"),
    "right of": ("right of", "to the right of", "to the right of", "on the right of"),
    "in front of": ("in front of",),
    "behind": ("behind", "behind", "in back of"),
}

# Backdrops of one colour (a studio sweep: floor and wall are the same), duller than any object.
PLAIN = {
    "white": (0.78, 0.78, 0.76),
    "grey": (0.26, 0.26, 0.27),
    "black": (0.025, 0.025, 0.03),
    "red": (0.34, 0.09, 0.08),
    "yellow": (0.56, 0.46, 0.17),
    "green": (0.13, 0.28, 0.14),
    "blue": (0.12, 0.20, 0.42),
    "purple": (0.22, 0.13, 0.34),
    "pink": (0.60, 0.33, 0.38),
    "brown": (0.20, 0.11, 0.06),
}

# floor, floor's texture (amplitude), sky at the horizon and above, sun's and sky's light (linear RGB).
SETTINGS = {
    "grass": dict(floor=(0.10, 0.25, 0.035), texture=0.22, horizon=(0.62, 0.78, 0.92),
                  zenith=(0.20, 0.44, 0.82), sun=(1.0, 0.97, 0.9), ambient=(0.36, 0.40, 0.44)),
    "sand": dict(floor=(0.62, 0.44, 0.23), texture=0.10, horizon=(0.74, 0.82, 0.90),
                 zenith=(0.30, 0.55, 0.86), sun=(1.0, 0.95, 0.85), ambient=(0.42, 0.40, 0.38)),
    "night": dict(floor=(0.035, 0.045, 0.085), texture=0.0, horizon=(0.03, 0.045, 0.13),
                  zenith=(0.004, 0.006, 0.025), sun=(0.62, 0.66, 0.78), ambient=(0.20, 0.21, 0.27)),
    "sunset": dict(floor=(0.15, 0.075, 0.05), texture=0.0, horizon=(1.0, 0.42, 0.10),
                   zenith=(0.20, 0.09, 0.30), sun=(0.98, 0.80, 0.64), ambient=(0.36, 0.30, 0.32)),
}

SETTING_WORDS = {
    "grass": ("on grass", "on green grass", "on a lawn", "in a meadow", "in a field of grass"),
    "sand": ("on sand", "on yellow sand", "on a beach", "in the desert"),
    "night": ("at night", "at night", "in the dark", "by moonlight"),
    "sunset": ("at sunset", "at sunset", "at dusk", "in the evening"),
}

PLAIN_WORDS = (
    "on a {} background", "on a {} background", "against a {} background",
    "in front of a {} wall", "in a {} room",
)
