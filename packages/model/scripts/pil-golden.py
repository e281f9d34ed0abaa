"""Hashes of Pillow's resizes that src/processor.test.ts compares with: pip install pillow==13.0.0; python3 packages/model/scripts/pil-golden.py"""
import hashlib

from PIL import Image


def ramp(width, height):
    return bytes((((i * 2654435761) & 0xFFFFFFFF) >> 13) & 255 for i in range(width * height * 3))


for w, h, W, H, resample in [(100, 75, 64, 32, 3), (100, 75, 256, 192, 3), (100, 75, 320, 224, 3), (33, 47, 64, 32, 3), (128, 128, 32, 32, 4), (40, 24, 48, 32, 4), (100, 75, 64, 32, 4)]:
    # two calls: Pillow 13 may take the vertical pass first (seen when it widens and shortens); the processor is horizontal first, as Pillow 9
    resized = Image.frombytes("RGB", (w, h), ramp(w, h)).resize((W, h), resample=resample).resize((W, H), resample=resample)
    print(f"[{w}, {h}, {W}, {H}, {resample}, '{hashlib.sha256(resized.tobytes()).hexdigest()[:16]}'],")
