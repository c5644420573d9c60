"""The names of the files in a run's folder, which is a checkpoint once `checkpoint.json` is there."""

from __future__ import annotations

from pathlib import Path

META_FILE = "checkpoint.json"
"""What the weights mean; written last."""
WEIGHTS_FILE = "model.safetensors"
GRAPH_FILE = "graph.onnx"
"""How the network is built, for ONNX Runtime; its weights are those in WEIGHTS_FILE."""
KNOWN_FILE = "familiarity.safetensors"
CONFIG_FILE = "config.json"
SPLIT_FILE = "split.csv"
HISTORY_FILE = "history.csv"
METRICS_FILE = "metrics.json"
FURTHER_FILE = "further.csv"
"""Pictures of data sets that the run did not have, on which choices were made again; like `split.csv`, all `val`."""
LOOKS_FILE = "external.csv"
"""Every look at pictures from outside."""
AUDIT_FILE = "audit.json"
STOPPED_AUDIT_FILE = "audit-stopped.json"
CARD_FILE = "README.md"

RESUME = Path("resume")
"""What a run needs to go on after a stop; no part of a checkpoint."""
STATE_FILE = RESUME / "state.pt"
BEST_FILE = RESUME / "best.safetensors"
START_FILE = RESUME / "start.json"
LOCK_FILE = RESUME / "lock"
LOG_FILE = RESUME / "train.log"
AFTER = RESUME / "after"
"""Holds a folder for each finished stage, with its weights."""
