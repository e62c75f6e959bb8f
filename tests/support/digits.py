"""digits.py DIR: scikit-learn's 1,797 digits of 8 x 8 pixels, as four IDX files in DIR."""
import gzip
import importlib.util
import os
import struct
import sys

folder = sys.argv[1]
sklearn = importlib.util.find_spec("sklearn").submodule_search_locations[0]
with gzip.open(f"{sklearn}/datasets/data/digits.csv.gz", "rt") as table:
    rows = [[int(float(number)) for number in line.split(",")] for line in table]
os.makedirs(folder, exist_ok=True)
for split, part in ("train", rows[:1437]), ("t10k", rows[1437:]):  # 64 pixels from 0 to 16, then the digit
    with open(f"{folder}/{split}-images-idx3-ubyte", "wb") as images:
        images.write(struct.pack(">4I", 0x803, len(part), 8, 8))
        images.write(bytes(pixel * 255 // 16 for row in part for pixel in row[:64]))
    with open(f"{folder}/{split}-labels-idx1-ubyte", "wb") as labels:
        labels.write(struct.pack(">2I", 0x801, len(part)) + bytes(row[64] for row in part))
