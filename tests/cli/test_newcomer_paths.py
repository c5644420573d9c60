"""What a newcomer types: commands and examples taken from the pages themselves, and shortened by the tables below."""

from __future__ import annotations

import ast
import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from conftest import PROJECT
from fake_app import served
from PIL import Image
from printed import command, printed, python_block

from lesion_demo.__main__ import main
from lesion_demo.images.phantom import render_phantom
from scripts import score_with_ray

SMALL = "--preset quick --init none --backbone resnet18 --image-size 64 --epochs 1 --epoch-pictures 32 --workers 0"
SHORTENED = {
    "train.py": {"--preset quick": f"{SMALL} --out checkpoints --run clinics"},
    "evaluate": {"DIR": "pictures --checkpoint checkpoints/clinics --worst 2 --workers 0", "OUT": "worst"},
    "score": {"ARCHIVE": "pictures --checkpoint checkpoints/clinics"},
}
"""What is printed → what is run here. The run that comes out is called as the shipped one."""

RUN_HERE = (
    r"deploy .* --dry-run",
    r"train\.py --preset quick .*--labels",
    r"evaluate .*--gallery",
    r"export ",
    r"score (ARCHIVE|PICTURES…)(?!.*--probabilities-only)",
    r"scripts\.score_with_ray",
    r"app\.py$",
)
RUN_ELSEWHERE = {
    r"lesion_demo audit": "audit/test_audit_trust.py::test_the_command_saves_and_prints_all_of_it",
    r"lesion_demo card": "card/test_model_card.py::test_command_writes_the_card_beside_the_weights",
    r"deploy OWNER/SPACE( --public)?$": "cli/test_deploy.py::test_with_a_token_it_is_uploaded",
    r"evaluate --choose": "evaluate/test_figures.py::test_choices_are_made_again_without_training",
    r"evaluate --familiarity": "evaluate/test_known.py::test_what_is_familiar_is_learnt_again_and_nothing_else_changes",
    r"evaluate --external": "evaluate/test_figures.py::test_the_command_says_what_it_lacks_and_reports_from_outside",
    r"push OWNER/MODEL": "test_hub.py::test_what_is_pushed_is_what_is_loaded",
    r"recalibrate|--calibration": "cli/test_recalibrate_command.py::test_the_command_writes_what_score_then_uses",
    r"app\.py --calibration": "cli/test_recalibrate_command.py::test_the_app_uses_it_and_says_so",
    r"app\.py --root-path": "web/test_server.py::test_the_nginx_example_serves_the_page_below_a_path_with_https",
    r"app\.py --port": "web/test_server.py::test_starts_on_ipv6_behind_proxies_with_a_login_and_any_port",
    r"app\.py --help": "project/test_printed_commands.py::test_what_is_printed_is_understood",
    r"score .*--probabilities-only": "cli/test_score.py"
    "::test_probabilities_alone_are_the_same_and_nothing_else_is_measured",
    r"score --one-lesion": "serve/test_several.py::test_command_gives_one_answer_after_the_pictures_own",
    r"train\.py --data DIR$": "train/test_training.py::test_a_run_leaves_everything_it_promises",
    r"train\.py --preset clinics": "test_expected.py::test_one_command_trains_audits_and_writes_the_card",
    r"train\.py .*--tracker": "train/test_tracking.py::test_figures_go_there_epoch_by_epoch_and_nothing_else",
    r"train\.py .*--promote": "test_shown.py::test_a_run_that_is_promoted_stays_until_one_beats_all_there_were",
    r"pip install \.": "test_public.py::test_the_wheel_works_where_nothing_else_is",
    r"scripts\.prepare_data": "data/test_prepare_data.py::test_the_commands_on_the_page_run",
    r"scripts\.recalibration_curve": "cli/test_recalibrate_command.py::test_the_experiment_runs_as_its_head_says",
    r"scripts\.elsewhere": "evaluate/test_elsewhere.py::test_only_other_data_sets_are_judged_and_no_lesion_trained_on",
    r"scripts\.fuzz": "project/test_reliability.py::test_the_fuzzer_begins_with_files_that_are_good",
    r"scripts\.golden": "serve/test_golden.py::test_made_up_pictures_keep_their_probabilities",
    r"scripts\.kills": "project/test_reliability.py::test_a_training_that_is_killed_ends_with_the_same_weights",
    r"scripts\.soak": "project/test_reliability.py"
    "::test_a_server_under_load_gives_every_client_its_own_answer_and_ends",
    r"scripts\.reliability": "project/test_reliability.py::test_the_page_says_what_was_found",
}
"""Command → the test that runs it, or the function behind it on less data."""
UNDERSTOOD_ONLY = {
    r"lesion_demo( score)?$": "a name in a sentence",
    r"pip install (-r|pyarrow|ray|openvino)|-m pytest": "CI installs from the lock files and runs all tests",
    r"scripts\.bench": "measures for minutes, on a machine with nothing else to do",
    r"scripts\.clinics|train\.py --config docs/usual": "experiments on the public data sets that take hours",
    r"scripts/make_": "draw the pictures that are part of the project",
}
"""Command → why nothing runs it; `test_printed_commands` sees that there is such a command with such options."""


def test_every_printed_command_is_run_by_a_test_or_it_is_said_why_not() -> None:
    patterns = [*RUN_HERE, *RUN_ELSEWHERE, *UNDERSTOOD_ONLY]
    commands = printed()
    assert [one for one in commands if not any(re.search(pattern, one) for pattern in patterns)] == []
    assert [pattern for pattern in patterns if not any(re.search(pattern, one) for one in commands)] == []
    for test in RUN_ELSEWHERE.values():
        file, _, name = test.partition("::")
        tree = ast.parse((PROJECT / "tests" / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, test


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a newcomer has it: loose pictures, a spreadsheet of what they show, and a picture to ask about."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "pictures").mkdir()
    lines = ["image;diagnosis;patient"]
    for number in range(40):
        pixels = render_phantom(number, malignant=number % 2 == 0, size=72)
        Image.fromarray(pixels).save(folder / "pictures" / f"p{number:02d}.png")
        lines.append(f"p{number:02d};{('melanoma', 'nevus')[number % 2]};{number // 4}")
    (folder / "labels.csv").write_text("\n".join(lines), encoding="utf-8-sig")
    Image.fromarray(render_phantom(50, malignant=True, size=160)).save(folder / "lesion.jpg")
    return folder


@pytest.fixture(autouse=True)
def _at_the_desk(desk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk)


def run(words: Sequence[str]) -> int:
    """What the printed `words` do, in this process."""
    return main(["train", *words[2:]] if words[1] == "train.py" else words[3:])


@pytest.fixture(scope="module")
def trained(desk: Path) -> Path:
    """The run that the page's command for a spreadsheet makes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(desk)
        assert run(command("docs/training.md", "--labels", changes=SHORTENED["train.py"])) == 0
    return desk / "checkpoints" / "clinics"


def test_deploy_to_a_space_as_a_dry_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(command("docs/hosting.md", "deploy", "--dry-run")) == 0
    said = capsys.readouterr().out
    assert "for the private Space OWNER/SPACE" in said
    assert "A dry run: nothing was uploaded." in said


SERVING_ONLY = """
import sys
for name in ("torch", "torchvision", "onnx", "sklearn", "accelerate", "pytorch_grad_cam"):
    sys.modules[name] = None  # as after `make app`
from lesion_demo.__main__ import main
for command in sys.argv[1:]:
    print(main(command.split()), command)
"""


def test_after_make_app_a_command_says_what_it_needs_or_does_without() -> None:
    without = ["deploy OWNER/SPACE --dry-run", "push OWNER/MODEL --dry-run"]
    more = ["evaluate --data pictures", "audit --data pictures", "export", "recalibrate --data pictures --out a.json"]
    more.append("train --preset quick --data pictures --labels labels.csv --out runs")
    search = os.pathsep.join([str(PROJECT), os.environ.get("PYTHONPATH", "")])
    program = [sys.executable, "-c", SERVING_ONLY, *without, *more]
    found = subprocess.run(
        program, env=os.environ | {"PYTHONPATH": search}, capture_output=True, text=True, timeout=120, check=True
    )
    answers = [line for line in found.stdout.splitlines() if re.match(r"[01] \w", line)]
    assert answers == [f"0 {one}" for one in without] + [f"1 {one}" for one in more]
    errors = re.findall(
        r"^error: (\w+) needs \w+, which .*: python -m pip install -r requirements\.txt$", found.stderr, re.M
    )
    assert errors == [one.split()[0] for one in more]


def test_retrain_from_a_spreadsheet_and_look_at_its_mistakes(trained: Path) -> None:
    sides = (trained / "split.csv").read_text(encoding="utf-8")
    assert sides.count(",train,") + sides.count(",val,") == 40
    assert run(command("README.md", "evaluate", "--gallery", changes=SHORTENED["evaluate"])) == 0
    assert list(Path("worst").iterdir())


@pytest.mark.parametrize(("page", "part"), [("README.md", "analyze"), ("docs/use.md", "heat_map_for")])
def test_call_it_from_python(page: str, part: str, trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    block = python_block(page, part, {})
    assert "checkpoints/clinics" in block
    exec(compile(block, page, "exec"), {})
    if "print" in block:
        assert re.search(r"0\.\d+ \(160, 160\)", capsys.readouterr().out)


def test_call_the_page_from_python(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with served(tmp_path) as app:  # `python app.py`, with a stand-in for the network
        block = python_block("docs/use.md", "gradio_client", {"http://127.0.0.1:7860": app.address})
        exec(compile(block, "docs/use.md", "exec"), {})
    assert re.search(r"^\w+ 0\.\d+$", capsys.readouterr().out, re.MULTILINE)


PLACES = {"DIR": "checkpoints/clinics", "PICTURES": "pictures", "SET": "pictures", "FOLDER": "exported"}


def test_export_and_use_it_without_the_project(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = [one.split(" --data melanoma10k")[0] for one in printed() if "lesion_demo export" in one]
    commands = [one for one in commands if "openvino" not in one]  # tests/network/test_graph.py runs that
    distinct = {tuple(PLACES.get(word, word) for word in shlex.split(one)) for one in commands}
    assert len(distinct) >= 4
    for words in sorted(distinct):
        assert run(words) == 0
        assert "differs from PyTorch's by" in capsys.readouterr().out
    example = [sys.executable, "exported/example.py", "lesion.jpg"]
    said = subprocess.run(example, check=True, capture_output=True, text=True, timeout=120).stdout
    assert "probability of malignancy 0." in said


def rows(path: str) -> list[dict[str, str]]:
    with Path(path).open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def test_score_an_archive_whole_in_shards_and_as_an_engine_would(trained: Path) -> None:
    whole = command("README.md", "score", changes={"PICTURES…": "pictures --checkpoint checkpoints/clinics"})
    assert run(whole) == 0
    table = Path("out.csv").read_bytes()
    assert len(rows("out.csv")) == 40
    Path("out.csv").unlink()
    for share in ("1/2", "2/2"):
        changes = SHORTENED["score"] | {"1/2": share}
        assert run(command("docs/use.md", "score ARCHIVE", "--shard", changes=changes)) == 0
    assert Path("out.csv").read_bytes() == table
    shutil.rmtree("parts")
    launch = command("docs/use.md", "score ARCHIVE", start="torchrun", changes=SHORTENED["score"])
    assert launch[0] == "torchrun"
    search = os.pathsep.join([str(PROJECT), os.environ.get("PYTHONPATH", "")])
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    environment = os.environ | {"PYTHONPATH": search, "OMP_NUM_THREADS": "1"}
    subprocess.run([*torchrun, *launch[1:]], env=environment, check=True, timeout=200, capture_output=True)
    assert Path("out.parquet").stat().st_size > 0
    files = [row["file"] for row in rows("out.csv")]
    by_engine = score_with_ray.Scorer("checkpoints/clinics")({"item": np.array(files)})
    assert by_engine["verdict"] == [row["verdict"] for row in rows("out.csv")]


def test_without_ray_the_example_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = command("docs/use.md", "scripts.score_with_ray")
    monkeypatch.setattr(sys, "argv", words[2:])
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SystemExit):
        score_with_ray.main()
    assert "Ray is not installed: python -m pip install ray pyarrow" in capsys.readouterr().err
