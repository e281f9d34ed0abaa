"""Writes golden files and the manifest of a folder: versions, seeds, sizes, sha256."""
import hashlib
import json
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

PACKAGES = ["torch", "torchvision", "transformers", "safetensors", "pillow", "numpy", "trl", "verl"]


def write_json(path: Path, value) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, separators=(",", ":")) + "\n")


def write_tensors(path: Path, tensors) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, path)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def write_manifest(folder: Path, script: str, extra) -> None:
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "manifest.json")
    manifest = {
        "script": script,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
        **extra,
        "files": {str(p.relative_to(folder)): {"bytes": p.stat().st_size, "sha256": sha256(p.read_bytes())} for p in files},
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    print(script, sum(p.stat().st_size for p in files), "bytes in", len(files), "files")
