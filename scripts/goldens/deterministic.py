"""Weights, images and token weights from 32-bit integer hashes, so that Python and TypeScript make the same bytes and none of them is stored.

packages/model/src/parity.fixture.ts has the other half. Every value is one f64 expression of exact inputs, rounded once to f32.
"""
import math

import numpy as np

M32 = 0xFFFFFFFF


def mix(x):
    """32-bit finaliser of MurmurHash3, on numpy uint32 arrays."""
    x = np.asarray(x, dtype=np.uint64) & M32
    x = ((x ^ (x >> np.uint64(16))) * np.uint64(0x85EBCA6B)) & M32
    x = ((x ^ (x >> np.uint64(13))) * np.uint64(0xC2B2AE35)) & M32
    return (x ^ (x >> np.uint64(16))) & M32


def fnv1a(text: str) -> int:
    value = 0x811C9DC5
    for byte in text.encode():
        value = ((value ^ byte) * 0x01000193) & M32
    return value


def hashes(seed: int, stream: str, count: int):
    base = int(mix(np.uint64(fnv1a(stream) ^ ((seed * 0x9E3779B9) & M32))))
    index = np.arange(count, dtype=np.uint64)
    return mix((np.uint64(base) + index * np.uint64(0x9E3779B1)) & np.uint64(M32))


def uniforms(seed: int, stream: str, count: int):
    """f64 in [-1, 1), multiples of 2^-23."""
    return ((hashes(seed, stream, count) >> np.uint64(8)).astype(np.float64) - 2.0**23) / 2.0**23


def weight(seed: int, name: str, shape, tied: bool):
    """Uniform values, standard deviations by kind: norm gains 1 + 0.2 z, biases 0.2 z, matrices 1.5 / sqrt(fan in), embeddings 1 (0.2 where they are also the head)."""
    count = int(np.prod(shape))
    u = uniforms(seed, name, count)
    offset = 0.0
    if name.endswith(".bias"):
        std = 0.2
    elif len(shape) == 1:
        std, offset = 0.2, 1.0
    elif name.endswith("pos_embed.weight"):
        std = 1.0
    elif name.endswith("embed_tokens.weight"):
        std = 0.2 if tied else 1.0
    else:
        std = 1.5 / math.sqrt(count // shape[0])
    return (offset + (std * math.sqrt(3.0)) * u).astype(np.float32).reshape(shape)


def image(kind: str, seed: int, width: int, height: int):
    """[height, width, 3] u8: noise, gradient, lines of one pixel, text-like blocks."""
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    if kind == "noise":
        return (hashes(seed, "image", height * width * 3) >> np.uint64(24)).astype(np.uint8).reshape(height, width, 3)
    if kind == "gradient":
        value = (x * 255) // max(1, width - 1) + (y * (c + 1) * 64) // max(1, height - 1) + seed
    elif kind == "lines":
        value = np.where((x % 5 == 0) | (y % 7 == 0) | ((x + y) % 11 == 0), 255 - 40 * c, 10 * c + seed)
    elif kind == "text":
        block = hashes(seed, "image", ((height + 2) // 3) * ((width + 1) // 2))
        bit = (block[(y // 3) * ((width + 1) // 2) + x // 2] >> np.uint64(30)).astype(np.int64)
        value = np.where((bit == 0) & (y % 12 < 9), 20 + 5 * c, 250)
    else:
        raise ValueError(kind)
    return (value & 255).astype(np.uint8)


def sample_indices(count: int, limit: int):
    """Elements of a big tensor that are stored: all of them, or `limit` spread over it."""
    kept = min(count, limit)
    return [(i * count) // kept for i in range(kept)]
