"""Named training configurations."""

from __future__ import annotations

from lesion_demo.config import AugmentConfig, PreprocessSpec, StageConfig, TrainConfig

CLINICS_AUGMENT = AugmentConfig(
    # AutoAugment inverts and posterises colours, which is much to unlearn. In a round window a picture turned by any
    # angle is as good as it was.
    auto_augment=0.0,
    ring=0.5,
    artefact=0.3,
    crop_scale=(0.65, 1.0),
    perspective=0.1,
    erasing=0.05,
    rotation=0.8,
    rotation_degrees=180.0,
    colour_cast=0.2,
    exposure=0.15,
    softness=0.3,
)

CLINICS_STAGES = (
    StageConfig(
        "160px", epochs=12, image_size=160, batch_size=64, epoch_pictures=10_000,
        backbone_rate=1.2e-3, head_rate=1.2e-3, schedule="one_cycle", floor=0.5,
    ),
    StageConfig(
        "192px", epochs=10, image_size=192, batch_size=64, epoch_pictures=10_000,
        backbone_rate=6e-4, head_rate=6e-4, schedule="cosine", floor=0.4,
    ),
    StageConfig(
        "224px", epochs=8, image_size=224, batch_size=64, epoch_pictures=10_000,
        backbone_rate=2.4e-4, head_rate=2.4e-4, schedule="cosine", frozen_blocks=2,
    ),
)  # fmt: skip
"""One descent over growing pictures, 300,000 in all: most of the learning happens where a picture is cheap. At 224
pixels the first blocks, which see edges and colours, are left alone, which saves time."""

QUICK_STAGES = (
    StageConfig(
        "head", epochs=3, image_size=128, batch_size=16, train_backbone=False, head_rate=1e-3, schedule="constant"
    ),
    StageConfig(
        "all", epochs=12, image_size=128, batch_size=16, backbone_rate=5e-4, head_rate=1e-3,
        schedule="one_cycle", patience=4,
    ),
)  # fmt: skip
"""For a few hundred pictures: small ones, small batches, and an epoch is as long as the data."""

PRESETS = {
    "default": TrainConfig(),
    "clinics": TrainConfig(
        init="lite2",
        stages=CLINICS_STAGES,
        preprocess=PreprocessSpec(image_size=256, round_window=True, grey_light=True, turns=4),
        augment=CLINICS_AUGMENT,
        clip_norm=2.0,
        ema_decay=0.998,
        source_balance=0.5,
        photographs=("padufes20",),
        micro_batch=32,
        val_fractions=(("isic2018", 0.3),),
    ),
    "quick": TrainConfig(
        init="lite2",
        stages=QUICK_STAGES,
        preprocess=PreprocessSpec(image_size=160),
        augment=AugmentConfig(auto_augment=0.0, ring=0.4, erasing=0.1),
        val_fraction=0.3,
        clip_norm=2.0,
    ),
}
RETIRED = ("cpu", "refine", "round", "robust", "long")
"""Presets of former versions, each of which went on from the one before; `clinics` does in one run what took five."""
