#!/usr/bin/env python3
"""sass.py [--nvcc NVCC] [--nvdisasm NVDISASM] [--loops] [FILE.cu ...]: what the machine code of sm_90 shows.

Compiles the kernels (those of src/kernels) and prints a line a kernel:

    file kernel registers spilled local divisions doubles trip loads

spilled, local: bytes. divisions: of integers, by a number that the code does not hold. doubles: instructions
in double precision inside loops. Of the longest innermost loop, trip: its instructions; loads: those from
global memory, as count x bits.
--loops adds each innermost loop, with its share of FFMA, its divergent regions and its stores.
"""
import argparse
import itertools
import pathlib
import re
import subprocess
import sys
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[2]
INSTRUCTION = re.compile(r"\s+/\*([0-9a-f]{4,})\*/\s+(@!?U?P\w+ )?\s*([A-Z][\w.]*)\s*(.*?) ;")
DOUBLE = re.compile(r"D(ADD|MUL|FMA|SETP|MNMX)|F2F\.|.*\.F64|MUFU\.\w+64H")
COLD = re.compile(r"\$__internal")  # subroutines behind a kernel's own code


def run(*command):
    done = subprocess.run(command, text=True, capture_output=True)
    if done.returncode:
        sys.exit(f"{command[0]}: {done.stderr.strip()}")
    return done


def short(symbol):
    """forward<0, 4> of a mangled name."""
    name = run("c++filt", symbol).stdout.strip()
    name = re.sub(r"\([\w: ()]*\)(-?\d)", r"\1", re.sub(r"\(anonymous namespace\)::", "", name))
    return re.match(r"(?:void )?([\w]+(?:<[^>]*>)?)", name).group(1).replace(" ", "")


def ptxas(log):
    """{symbol: (registers, spilled, local)} of what ptxas -v says"""
    found = {}
    for part in log.split("Compiling entry function '")[1:]:
        stack, stores, loads = map(int, re.search(
            r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", part).groups())
        registers = int(re.search(r"Used (\d+) registers", part).group(1))
        found[part.split("'")[0]] = registers, stores + loads, stack
    return found


class Kernel:
    """The instructions [(name, operands)] of one kernel, and its loops: sets of their places."""

    def __init__(self, lines):
        self.code, labels, jumps = [], {}, {}
        for line in itertools.takewhile(lambda line: not COLD.match(line), lines):
            if line.startswith(".L_"):
                labels[line.rstrip(":\n")] = len(self.code)
            match = INSTRUCTION.match(line)
            if match:
                always, name, operands = not match.group(2), match.group(3), match.group(4)
                jumps[len(self.code)] = always, name, re.search(r"`\((\.L_\w+)\)", operands)
                self.code.append((name, operands))
        self.before = [[] for _ in self.code]  # where each can be reached from
        back = []
        for i, (always, name, target) in jumps.items():
            to = labels.get(target.group(1)) if name.startswith("BRA") and target else None
            ends = always and (name == "BRA" or name.startswith(("EXIT", "RET")))
            if not ends and i + 1 < len(self.code):
                self.before[i + 1].append(i)
            if to is not None and to < len(self.code):
                self.before[to].append(i)
                if to < i:
                    back.append((to, i))
        found = [self.loop(to, i) for to, i in back]
        self.loops = [loop for loop in found if loop]

    def loop(self, head, last):
        """What is passed from head to last; None where there is a way in beside head: no loop, but code that
        was moved behind the rest and jumps back."""
        inside, left = {head}, [last]
        while left:
            place = left.pop()
            if place not in inside:
                inside.add(place)
                left += self.before[place]
        return None if 0 in inside and head != 0 else inside

    def innermost(self):
        return [a for a in self.loops if not any(b < a for b in self.loops)]

    def looped(self):
        return sorted(set().union(*self.loops))

    def divisions(self, places):
        """A quotient by a reciprocal made at run time: its first reader multiplies it back."""
        if not any(re.match(r"I2F.*\.RP", name) for name, _ in self.code):
            return 0
        return sum(self.is_quotient(i) for i in places)

    def is_quotient(self, i):
        name, operands = self.code[i]
        if name == "CALL.REL.NOINC" and re.search(r"(div|rem)_[su]64", operands):
            return True
        fields = [f.strip() for f in operands.split(",")]
        if not name.startswith("IMAD.HI") or fields[-1] != "RZ":
            return False
        quotient = re.compile(rf"\b{fields[0]}\b")
        for later, read in self.code[i + 1:i + 60]:
            target, _, rest = read.partition(",")
            if quotient.search(rest):
                return later.startswith(("IMAD", "IADD"))
            if quotient.search(target):
                return False
        return False

    def loads(self, places):
        """{bits: count} of loads from global memory"""
        found = {}
        for i in places:
            if self.code[i][0].startswith("LDG"):
                width = re.search(r"\.(128|64|U8|S8|U16|S16)\b", self.code[i][0])
                bits = int(width.group(1).lstrip("US")) if width else 32
                found[bits] = found.get(bits, 0) + 1
        return found

    def count(self, pattern, places):
        return sum(bool(re.match(pattern, self.code[i][0])) for i in places)


def kernels(file, nvcc, nvdisasm):
    """[(name, (registers, spilled, local), Kernel)] of one source, by name"""
    with tempfile.TemporaryDirectory() as folder:
        cubin = pathlib.Path(folder) / "x.cubin"
        log = run(nvcc, "-std=c++17", "-O3", "-lineinfo", "-arch=sm_90", "-cubin", "-Xptxas=-v", "-I",
                  str(TOP / "include"), "-o", str(cubin), str(file)).stderr
        text = run(nvdisasm, "-c", str(cubin)).stdout
    used, found = ptxas(log), []
    for part in text.split("\n.text.")[1:]:
        symbol = part.split(":")[0].strip("\"")
        if symbol in used:
            found.append((short(symbol), used[symbol], Kernel(part.splitlines(True))))
    if len(found) != len(used):
        sys.exit(f"{file}: {len(used)} kernels, and code of {len(found)}")
    return sorted(found, key=lambda kernel: kernel[0])


def loads_of(kernel, places):
    return ",".join(f"{count}x{bits}" for bits, count in sorted(kernel.loads(places).items())) or "none"


def show_loop(kernel, places):
    print(f"    {len(places)} instructions, {kernel.divisions(places)} divisions, loads: {loads_of(kernel, places)}, "
          f"FFMA {100 * kernel.count('FFMA', places) / len(places):.0f} %, "
          f"{kernel.count(DOUBLE, places)} doubles, {kernel.count('BSSY', places)} regions, "
          f"{kernel.count('STG', places)} stores")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--nvcc", default="nvcc")
    parser.add_argument("--nvdisasm", default="nvdisasm")
    parser.add_argument("--loops", action="store_true")
    parser.add_argument("files", nargs="*")
    args = parser.parse_args()
    for file in map(pathlib.Path, args.files or sorted((TOP / "src/kernels").glob("*.cu"))):
        for name, (registers, spilled, local), kernel in kernels(file, args.nvcc, args.nvdisasm):
            loops = sorted(kernel.innermost(), key=min)
            longest = max(loops, key=len, default=set())
            print(file.stem, name, registers, spilled, local, kernel.divisions(range(len(kernel.code))),
                  kernel.count(DOUBLE, kernel.looped()), len(longest), loads_of(kernel, longest), flush=True)
            for loop in loops if args.loops else []:
                show_loop(kernel, loop)


if __name__ == "__main__":
    main()
