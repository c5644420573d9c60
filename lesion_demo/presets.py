"""Named training configurations."""

from __future__ import annotations

from dataclasses import replace

from lesion_demo.config import AugmentConfig, PreprocessSpec, StageConfig, TrainConfig

CPU_STAGES = (
    StageConfig(
        "128px", epochs=4, image_size=128, batch_size=64, epoch_pictures=6000,
        backbone_rate=1.2e-3, head_rate=1.2e-3, schedule="one_cycle",
    ),
    StageConfig(
        "192px", epochs=3, image_size=192, batch_size=64, epoch_pictures=4000,
        backbone_rate=5e-4, head_rate=5e-4, schedule="one_cycle",
    ),
    StageConfig(
        "300px", epochs=1, image_size=300, batch_size=64, epoch_pictures=3000,
        backbone_rate=2e-4, head_rate=2e-4, schedule="cosine", frozen_blocks=4,
    ),
)  # fmt: skip
"""Progressive resolution: most of the learning happens on small pictures, which a CPU can afford. The first blocks,
which see edges and colours, are left alone at full size: that saves most of the backward pass."""

REFINE_STAGES = (
    StageConfig(
        "160px", epochs=4, image_size=160, batch_size=64, epoch_pictures=8000,
        backbone_rate=8e-4, head_rate=8e-4, schedule="one_cycle",
    ),
    StageConfig(
        "224px", epochs=4, image_size=224, batch_size=64, epoch_pictures=8000,
        backbone_rate=3e-4, head_rate=3e-4, schedule="cosine", frozen_blocks=3,
    ),
)  # fmt: skip
"""To go on from a run of the preset `cpu`, at first with every layer again, then with the first blocks left alone: at
224 pixels they take half of the time."""

ROUND_STAGES = (
    StageConfig(
        "192px", epochs=3, image_size=192, batch_size=64, epoch_pictures=8000,
        backbone_rate=5e-4, head_rate=5e-4, schedule="one_cycle", frozen_blocks=2,
    ),
    StageConfig(
        "224px", epochs=4, image_size=224, batch_size=64, epoch_pictures=8000,
        backbone_rate=3e-4, head_rate=3e-4, schedule="cosine", frozen_blocks=3,
    ),
)  # fmt: skip
"""To go on from a run of the preset `refine` with every picture seen through the same round window."""

ROBUST_STAGES = (
    StageConfig(
        "224px", epochs=6, image_size=224, batch_size=64, epoch_pictures=8000,
        backbone_rate=3e-4, head_rate=3e-4, schedule="one_cycle", frozen_blocks=3,
    ),
)  # fmt: skip
"""To go on from a run of the preset `round` against wrong colours, wrong light and lost detail."""

LONG_STAGES = (
    StageConfig(
        "224px", epochs=8, image_size=224, batch_size=32, epoch_pictures=8000,
        backbone_rate=2.5e-4, head_rate=2.5e-4, schedule="one_cycle", frozen_blocks=3,
    ),
)  # fmt: skip
"""To go on from a run of the preset `robust`: one long cycle in twice as many, smaller steps."""

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

ROUND = TrainConfig(
    init="checkpoints/refine",
    draws=3,
    stages=ROUND_STAGES,
    preprocess=PreprocessSpec(image_size=256, round_window=True),
    augment=AugmentConfig(
        # In a round window a picture turned by any angle is as good as it was.
        auto_augment=0.0,
        ring=0.5,
        artefact=0.3,
        crop_scale=(0.65, 1.0),
        perspective=0.1,
        erasing=0.05,
        rotation=0.8,
        rotation_degrees=180.0,
    ),
    clip_norm=2.0,
    source_balance=0.5,
    photographs=("padufes20",),
    micro_batch=32,
)

PRESETS = {
    "default": TrainConfig(),
    "cpu": TrainConfig(
        init="lite2",
        stages=CPU_STAGES,
        # AutoAugment inverts and posterises colours; a run this short cannot afford to unlearn them.
        augment=AugmentConfig(auto_augment=0.0, ring=0.4, erasing=0.1),
        clip_norm=2.0,
        source_balance=0.5,
        photographs=("padufes20",),
        micro_batch=32,
    ),
    "quick": TrainConfig(
        init="lite2",
        stages=QUICK_STAGES,
        preprocess=PreprocessSpec(image_size=160),
        augment=AugmentConfig(auto_augment=0.0, ring=0.4, erasing=0.1),
        val_fraction=0.3,
        clip_norm=2.0,
    ),
    "refine": TrainConfig(
        init="checkpoints/cpu",
        draws=2,
        stages=REFINE_STAGES,
        preprocess=PreprocessSpec(image_size=256),
        augment=AugmentConfig(
            auto_augment=0.0, ring=0.5, artefact=0.3, crop_scale=(0.65, 1.0), perspective=0.1, erasing=0.05
        ),
        clip_norm=2.0,
        source_balance=0.5,
        photographs=("padufes20",),
        micro_batch=32,
    ),
    "round": ROUND,
    "robust": replace(
        ROUND,
        init="checkpoints/round",
        draws=4,
        first_share=0.25,
        stages=ROBUST_STAGES,
        augment=replace(ROUND.augment, colour_cast=0.3, exposure=0.2, softness=0.4),
    ),
    "long": replace(
        ROUND,
        init="checkpoints/robust",
        draws=5,
        last_share=0.5,
        stages=LONG_STAGES,
        augment=replace(ROUND.augment, colour_cast=0.2, exposure=0.15, softness=0.3),
        emphasis=(("melanoma10k", 2.0),),
    ),
}
