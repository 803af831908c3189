"""Styles of synthetic scenes that several tests draw."""

# One object on an even ground.
CLEAR = {
    "object_size": (0.4, 0.6),
    "object_spread": 0.2,
    "rotation_sd": 0.3,
    "hue_jitter": 0.0,
    "contrast": 0.35,
    "period": (0.1, 0.2),
    "n_regions": (0, 0),
    "n_distractors": (0, 0),
    "occlusion": 0.0,
    "shortcut": 0.0,
    "noise_sd": 0.0,
    "texture_shift": 0,
    "hue_shift": 0.0,
}
# One among a few others, on a ground of textures.
BUSY = CLEAR | {
    "object_spread": 0.1,
    "hue_jitter": 0.02,
    "contrast": 0.4,
    "n_regions": (1, 2),
    "n_distractors": (0, 1),
}
