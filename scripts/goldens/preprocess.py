"""Goldens of the image processor: Hugging Face's own processors and Pillow on images that TypeScript can make again."""
import hashlib

import numpy as np
import torch
from PIL import Image
from torchvision.transforms.v2 import functional as tvF
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor, smart_resize

from configs import NANO_PROCESSOR, processor
from deterministic import image

KEYS = ("size", "patch_size", "temporal_patch_size", "merge_size", "image_mean", "image_std", "resample")
REAL = processor(16, 65536, 16777216)
SMALL = processor(4, 64, 4096)
# kind, seed, width, height, processor; the published limits on usual sizes, small limits where an image is wanted in full
IMAGES = [
    ["gradient", 1, 100, 75, "small"], ["noise", 2, 47, 33, "small"], ["text", 3, 61, 90, "small"], ["lines", 4, 33, 47, "small"],
    ["noise", 5, 24, 16, "small"], ["lines", 6, 12, 200, "small"], ["text", 7, 400, 240, "real"], ["lines", 8, 100, 75, "real"],
    ["gradient", 9, 320, 256, "real"], ["noise", 10, 128, 128, "nano"], ["text", 11, 32, 32, "nano"], ["lines", 12, 64, 16, "nano"],
]
PROCESSORS = {"real": REAL, "small": SMALL, "nano": NANO_PROCESSOR}
SIZES = [(32, 32), (75, 100), (720, 1280), (1080, 1920), (80, 3000), (48, 2000), (6000, 8000), (10, 2000), (16, 3199), (33, 17)]


def hash_of(array) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()


def settings(name):
    return {key: PROCESSORS[name][key] for key in KEYS if key in PROCESSORS[name]}


def processed(kind, pixels, name, **extra):
    out = kind(**{**settings(name), **extra})(images=[Image.fromarray(pixels)], return_tensors="pt")
    return out["pixel_values"].numpy(), out["image_grid_thw"].tolist()[0]


def case(kind, seed, width, height, name):
    pixels = image(kind, seed, width, height)
    chosen = PROCESSORS[name]
    factor = chosen["patch_size"] * chosen["merge_size"]
    to_height, to_width = smart_resize(height, width, factor, chosen["size"]["shortest_edge"], chosen["size"]["longest_edge"])
    filter_number = chosen["resample"]
    source = Image.fromarray(pixels)
    # two calls fix the order of the passes (horizontal first); one call of Pillow 13 may take the vertical pass first
    resized = np.asarray(source.resize((to_width, height), filter_number).resize((to_width, to_height), filter_number))
    one_call = np.asarray(source.resize((to_width, to_height), filter_number))
    entry = {
        "image": [kind, seed, width, height], "processor": name, "input": hash_of(pixels), "resized": hash_of(resized),
        "size": [to_height, to_width],
        "one_call": {"differ": int((one_call != resized).sum()), "levels": int(np.abs(one_call.astype(int) - resized.astype(int)).max())},
    }
    tensors = {}
    # the processors' own normalisation and patches, on the resized bytes
    if filter_number == 3:
        values, grid = processed(Qwen2VLImageProcessor, resized, name, do_resize=False)
        slow, _ = processed(Qwen2VLImageProcessorPil, resized, name, do_resize=False)
        entry |= {"grid": grid, "patches": hash_of(values), "slow": float(np.abs(values.astype(np.float64) - slow).max())}
        whole, whole_grid = processed(Qwen2VLImageProcessor, pixels, name)
        assert whole_grid == grid
        fast = tvF.resize(torch.from_numpy(pixels.copy()).permute(2, 0, 1), [to_height, to_width], interpolation=tvF.InterpolationMode.BICUBIC, antialias=True)
        fast = fast.permute(1, 2, 0).numpy()
        again, _ = processed(Qwen2VLImageProcessor, fast, name, do_resize=False)
        assert np.array_equal(again, whole)
        entry["fast"] = {"differ": float((fast != resized).mean()), "levels": int(np.abs(fast.astype(int) - resized.astype(int)).max()), "sha256": hash_of(fast)}
        if name == "small":
            tensors[f"{kind} {seed} fast"] = fast.astype(np.float32)
    else:
        # the fast processor has no box filter
        values, grid = processed(Qwen2VLImageProcessorPil, resized, name, do_resize=False)
        entry |= {"grid": grid, "slow_patches": hash_of(values)}
        tensors[f"{kind} {seed} patches"] = values
    return entry, tensors


def preprocess():
    entries, tensors = [], {}
    for arguments in IMAGES:
        entry, found = case(*arguments)
        entries.append(entry)
        tensors |= found
    sizes = [[h, w, *smart_resize(h, w, 32, 65536, 16777216)] for h, w in SIZES]
    return {"processors": PROCESSORS, "images": entries, "smart_resize": sizes}, tensors


def pixel_values(images, chosen):
    """What the model is fed: the fast processor on images it must not resize."""
    settings = {key: chosen[key] for key in KEYS if key in chosen} | {"resample": 3}
    values, grids = [], []
    for kind, seed, width, height in images:
        out = Qwen2VLImageProcessor(**settings)(images=[Image.fromarray(image(kind, seed, width, height))], return_tensors="pt")
        grid = out["image_grid_thw"].tolist()[0]
        assert [grid[1] * chosen["patch_size"], grid[2] * chosen["patch_size"]] == [height, width], (grid, width, height)
        values.append(out["pixel_values"])
        grids.append(grid)
    return values, grids
