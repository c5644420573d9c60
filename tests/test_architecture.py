"""The direction of imports: a module uses only what stands above it."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "lesion_demo"
ROOMS = (
    "errors",
    "files",
    "config",
    "results",
    "presets",
    "imaging.jpeg",
    "imaging.tiff",
    "local_calibration",
    "imaging.loading",
    "imaging.picture_files",
    "imaging.field_of_view",
    "imaging.light",
    "imaging.artefacts",
    "imaging.degradations",
    "imaging.transforms",
    "imaging.lesion",
    "imaging.measurements",
    "imaging.quality",
    "imaging.skin_tone",
    "imaging.findings",
    "imaging.phantom",
    "imaging.strangers",
    "learning.arrays",
    "learning.intervals",
    "learning.calibration",
    "learning.metrics",
    "learning.referral",
    "learning.plot_style",
    "learning.plots",
    "learning.weights",
    "learning.model",
    "learning.warm_start_lite2",
    "learning.warm_start",
    "learning.archive",
    "learning.table",
    "learning.manifest",
    "learning.folders",
    "learning.fingerprints",
    "learning.duplicates",
    "learning.grouping",
    "learning.held_out",
    "learning.splits",
    "learning.split_file",
    "learning.split_record",
    "learning.reader",
    "learning.dataset",
    "learning.inference",
    "learning.familiarity",
    "learning.device",
    "learning.schedule",
    "learning.settings",
    "learning.estimate",
    "learning.run_state",
    "learning.depthwise",
    "learning.trainer",
    "learning.validation",
    "learning.training",
    "learning.evaluation",
    "learning.reporting",
    "learning.recalibration",
    "learning.shortcuts",
    "learning.strata",
    "learning.audit_trust",
    "learning.audit",
    "learning.audit_plot",
    "reported",
    "shown",
    "checkpoint",
    "pipeline",
    "figures",
    "auditing",
    "recalibrating",
    "serving.local",
    "serving.familiarity",
    "serving.predictor",
    "serving.explanation",
    "serving.prevalence",
    "serving.decision",
    "serving.guard",
    "serving.analysis",
    "texts",
    "serving.model_card",
    "serving.wording",
    "serving.labels",
    "serving.table",
    "serving.report",
    "serving.scoring",
    "serving.batch",
    "gallery",
    "ui",
    "cli",
    "__main__",
)


def room(module: str) -> int | None:
    """Index of the room that `module` (without `lesion_demo.`) belongs to."""
    found = [index for index, name in enumerate(ROOMS) if module == name or module.startswith(f"{name}.")]
    return found[0] if found else None


def modules() -> dict[str, Path]:
    names = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
    return {name.removesuffix(".__init__"): path for name, path in names.items() if name != "__init__"}


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("lesion_demo."):
            found.add(node.module.removeprefix("lesion_demo."))
        elif isinstance(node, ast.Import):
            found |= {alias.name.removeprefix("lesion_demo.") for alias in node.names if "lesion_demo." in alias.name}
    return found


def test_every_module_has_a_room() -> None:
    packages = {"imaging", "learning", "serving"}
    assert {name for name in modules() if room(name) is None} == packages


def test_imports_go_one_way() -> None:
    upward = [
        f"{name} imports {target}"
        for name, path in modules().items()
        for target in imported(path)
        if (here := room(name)) is not None and (there := room(target)) is not None and there > here
    ]
    assert upward == []


def test_only_the_page_knows_gradio() -> None:
    knowing = {name for name, path in modules().items() if "import gradio" in path.read_text(encoding="utf-8")}
    assert knowing
    assert all(name.startswith("ui") for name in knowing)
