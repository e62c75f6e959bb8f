#!/usr/bin/python3
"""Writes rotation.txt: what Pillow's nearest-neighbour rotation makes of synthetic images.

Each line: width, height, angle in degrees, image number, FNV-1a hash (64 bit) of the rotated bytes.
Pixel (x, y) of image k is 1 + (31 x + 17 y + 101 k + 7 x y) mod 255, which is never 0, so that what
falls outside shows. Needs python3-pil.
"""
import os
import random

from PIL import Image

SIZES = [(28, 28), (8, 8), (32, 20), (5, 33)]


def image(k, width, height):
    data = bytes(1 + (31 * x + 17 * y + 101 * k + 7 * x * y) % 255
                 for y in range(height) for x in range(width))
    return Image.frombytes("L", (width, height), data)


def fnv1a(data):
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def main():
    angles = [0, 0.01, -0.01, 0.5, -0.5, 1, -1, 2.5, -2.5, 7, -7, 6.999, -6.999, 30, -30, 45, -45,
              89.99, 90, -90, 120, 135, -150, 179.5, 180, -180]
    draw = random.Random(28)
    angles += [round(draw.uniform(-7, 7), 6) for _ in range(40)]
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "rotation.txt")
    with open(path, "w", encoding="ascii") as out:
        for width, height in SIZES:
            for i, angle in enumerate(angles):
                k = i % 5
                rotated = image(k, width, height).rotate(angle, resample=Image.NEAREST, fillcolor=0)
                out.write(f"{width} {height} {angle!r} {k} {fnv1a(rotated.tobytes()):016x}\n")


if __name__ == "__main__":
    main()
