#!/usr/bin/env python3
"""Training steps of normlab and its peers, in turns.

    turns.py [--device cpu|cuda] [--threads N] [--parts LIST] [--turns N] [--batches LIST]
             [--bin DIR] [--torch PYTHON] [--jax PYTHON] [--data DIR] RECORDS

Adds the programs' lines to RECORDS. LIST of parts: losses (of 20 steps), steps (milliseconds a step
of every contender at batch 64, and of the fastest at the other batches), scaling (wider networks,
other numbers of threads). A contender is a program in one mode on so many threads. One that fails,
or whose losses are not normlab's, is named and left out; the others go on.

All take turns, so that a machine that slows down slows all alike. On the CPU the peers stay from
turn to turn, since they are slow to start; after two turns those whose better one needed more than
1.5 times as long as the fastest peer's, everywhere, sit out. What else the machine was doing is
measured before and after the turns at batch 64: threads that wait for one another suffer most.
"""
import argparse
import concurrent.futures
import json
import os
import sys
import tempfile
import time

import aggregate
from contender import Contender, Failed

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VARIANTS = ("bn_l1", "ln", "gn")
CONFIGS = [os.path.join(TOP, "configs", variant + ".yaml") for variant in VARIANTS]
PLAIN = ("--set", "data.rotate=0", "--set", "model.dropout=0", "--set", "data.shuffle=false")
MODES = {("PyTorch", "cpu"): ("nchw", "nhwc", "compiled", "compiled-nhwc"),
         ("PyTorch", "cuda"): ("nchw", "nhwc", "graph", "compile"),
         ("JAX", "cpu"): ("jit", "unfold"), ("JAX", "cuda"): ("jit",)}
LOSSES = 20
SLOW, PATIENCE = 1.5, 2  # times the fastest peer, turns


def has_avx512():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        return " avx512f " in file.read()


class Race:
    """All contenders, and the file that gets their lines."""

    def __init__(self, args):
        self.args = args
        self.cpu = args.device == "cpu"
        self.counts = sorted({args.threads, 1}, reverse=True) if self.cpu else [0]
        self.ours = [self.normlab(count) for count in self.counts]
        if self.cpu and has_avx512():
            self.ours += [self.normlab(count, "avx2") for count in self.counts]
        known = {r["program"] for r in aggregate.of(self.records(), "missing")}
        self.peers = [peer for peer in self.all_peers() if str(peer) not in known]

    # ---- who takes part ----

    def common(self, threads):
        return ("--device", self.args.device, "--threads", str(threads or self.args.threads),
                "--data", self.args.data)

    def normlab(self, threads, isa=None):
        """Beside programs that scripts/bundle.sh laid out lie their libraries. isa: instead of the
        widest that this processor has."""
        places = [os.path.join(self.args.bin, os.pardir, "lib"), os.environ.get("LD_LIBRARY_PATH")]
        return Contender([os.path.join(self.args.bin, "bench_step"), *self.common(threads)],
                         "normlab", isa or self.args.device, threads,
                         env={"LD_LIBRARY_PATH": ":".join(place for place in places if place),
                              **({"NORMLAB_ISA": isa} if isa else {})})

    def all_peers(self):
        for program, python, script in (("PyTorch", self.args.torch, "torch_step.py"),
                                        ("JAX", self.args.jax, "jax_step.py")):
            if not python:
                self.miss(program, "not installed")
                continue
            for threads in self.counts:
                for mode in MODES[program, self.args.device]:
                    command = [python, os.path.join(TOP, "bench", "peers", script),
                               *self.common(threads), "--mode", mode]
                    yield Contender(command, program, mode, threads, self.cpu)

    def fastest(self, count):
        """The peers that are the fastest of a network at batch 64, on so many threads."""
        rows = [row for row in aggregate.step_rows(self.records(), lambda *_: None)
                if row["program"] != "normlab" and row["batch"] == 64 and row["width"] == 1
                and row["threads"] == count and "ms" in row]
        if not rows:
            return [peer for peer in self.peers if peer.threads == count]
        best = {min((row for row in rows if row["variant"] == variant), key=lambda r: r["ms"])
                ["mode"] for variant in {row["variant"] for row in rows}}
        return [peer for peer in self.peers if peer.threads == count and peer.mode in best]

    # ---- records ----

    def records(self):
        return aggregate.read(self.args.records) if os.path.exists(self.args.records) else []

    def record(self, lines):
        with open(self.args.records, "a", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)

    def miss(self, program, why):
        print(f"compare.sh: {program}: {why}", file=sys.stderr)
        if not any(r["program"] == program for r in aggregate.of(self.records(), "missing")):
            self.record([{"what": "missing", "program": program, "why": why}])

    def leave(self, peer, why):
        """A peer takes no part from now on. Without normlab there is no race."""
        peer.stop()
        if peer.program == "normlab":
            sys.exit(f"compare.sh: {peer}: {why}")
        self.miss(str(peer), why)
        self.peers = [other for other in self.peers if other is not peer]

    def together(self, contenders, work):
        """[(contender, result)] of work(contender), as many at once as a CPU has cores: for what is
        not timed. Those that fail leave."""
        results = []
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() if self.cpu else 1) as pool:
            todo = [(contender, pool.submit(work, contender)) for contender in contenders]
            for contender, future in todo:
                try:
                    results.append((contender, future.result()))
                except Failed as failed:
                    self.leave(contender, str(failed))
        return results


# ---- losses ---------------------------------------------------------------------------------

def losses(race):
    with tempfile.TemporaryDirectory() as init:
        options = ("--losses", str(LOSSES), "--init", init)
        for _, lines in race.together(race.ours[:1], lambda c: c.run(*options, *PLAIN, *CONFIGS)):
            race.record(lines)

        def compute(peer):  # threads that wait do not take the cores of what runs beside them
            return peer.run(*options, *VARIANTS, OMP_WAIT_POLICY="passive")

        for _, lines in race.together(race.peers, compute):
            race.record(lines)
    aggregate.report_losses(aggregate.compare_losses(race.records()))


def doubt(rows, peer):
    """Why the peer is not to be timed, or None: its rows of aggregate.compare_losses say."""
    rows = [row for row in rows if (row["program"], row["mode"], row["threads"])
            == (peer.program, peer.mode, peer.threads)]
    if {row["variant"] for row in rows} != set(VARIANTS):
        return "refused: its losses were not compared with normlab's"
    bad = [f"{row['variant']}: {aggregate.told(row)}" for row in rows if not row["good"]]
    return f"refused: other losses than normlab's: {'; '.join(bad)}" if bad else None


def refuse(race):
    rows = aggregate.compare_losses(race.records())
    for peer in race.peers:
        why = doubt(rows, peer)
        if why:
            race.leave(peer, why)


# ---- turns ----------------------------------------------------------------------------------

def slow(times, peer):
    """Whether every network's best is far above the fastest peer's on as many threads."""
    def beaten(variant):
        fastest = min(min(ms[variant]) for other, ms in times.items()
                      if other.threads == peer.threads and variant in ms)
        return min(times[peer][variant]) > SLOW * fastest
    return all(beaten(variant) for variant in times[peer])


def take_turns(race, contenders, turns, options):
    """options(contender): of its measurement. A contender's turn is a line for each network."""
    ready = [c for c, _ in race.together(contenders, lambda c: c.start(*options(c)))]
    times = {contender: {} for contender in ready if contender.program != "normlab"}
    out = set()
    for turn in range(turns):
        if turn == PATIENCE and race.cpu:
            behind = [peer for peer in times if slow(times, peer)]
            out.update(behind)
            for peer in behind:
                peer.stop()
        for contender in [c for c in ready if c not in out]:
            try:
                lines = contender.turn()
            except Failed as failed:
                race.leave(contender, str(failed))
                out.add(contender)
                times.pop(contender, None)
                continue
            race.record({**line, "mode": contender.mode} for line in lines)
            for line in lines if contender in times else ():
                times[contender].setdefault(line["variant"], []).extend(line["ms"])
    for contender in ready:
        contender.stop()


def steps_of(race, contender, batch):
    """About a second of a program's time, ours and a peer's."""
    ours = contender.program == "normlab"
    if not race.cpu:
        return min(200, 60000 // batch)
    return max(3, min(200, (40 if ours else 10) * 64 // batch))


def measure(race, contenders, turns, batch, width=1, steps=None):
    told = f"batch {batch}" if width == 1 else f"{width} times the channels"
    print(f"compare.sh: {told}, {turns} turns of {len(contenders)}", file=sys.stderr)

    def options(contender):
        ours = contender.program == "normlab"
        count = steps or steps_of(race, contender, batch)
        evaluated = ("--evaluate", "1") if ours and batch == 64 and width == 1 else ()
        return ("--batch", str(batch), "--width", str(width), "--rounds", "1", "--steps",
                str(count), *evaluated, *(CONFIGS if ours else VARIANTS))

    take_turns(race, contenders, turns, options)


def busy(seconds=2):
    """Per cent of the cores' time that others take while this program sleeps."""
    def ticks():
        with open("/proc/stat", encoding="ascii") as file:
            fields = [int(value) for value in file.readline().split()[1:9]]
        return sum(fields), fields[3] + fields[4]
    before = ticks()
    time.sleep(seconds)
    spent, idle = (after - start for after, start in zip(ticks(), before))
    return 100 * (1 - idle / max(1, spent))


def note_others(race):
    percent = busy()
    race.record([{"what": "busy", "percent": percent}])
    if percent > aggregate.QUIET:
        print(f"compare.sh: other work takes {percent:.0f} % of this machine: figures will be off",
              file=sys.stderr)


def steps(race):
    if 64 in race.args.batches:
        note_others(race)
        measure(race, [*race.ours, *race.peers], race.args.turns, 64)
        note_others(race)
    for batch in race.args.batches:
        if batch != 64:
            measure(race, [race.ours[0], *race.fastest(race.counts[0])],
                    min(3, race.args.turns), batch)


def scaling(race):
    for width in (2, 4, 8):
        measure(race, [race.ours[0], *race.fastest(race.counts[0])], min(2, race.args.turns), 64,
                width, 2)
    count = 2
    while race.cpu and count < race.args.threads:
        measure(race, [race.normlab(count)], min(3, race.args.turns), 64)
        count *= 2


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--turns", type=int, default=8)
    parser.add_argument("--parts", default="losses,steps,scaling")
    parser.add_argument("--batches", default="16,64,256")
    parser.add_argument("--bin", default=os.path.join(TOP, "build", "release", "bench"))
    parser.add_argument("--torch")
    parser.add_argument("--jax")
    parser.add_argument("--data", required=True)
    parser.add_argument("records")
    args = parser.parse_args()
    args.batches = [int(batch) for batch in args.batches.split(",")]
    race = Race(args)
    if "losses" in args.parts.split(","):
        losses(race)
    refuse(race)
    for part in (steps, scaling):
        if part.__name__ in args.parts.split(","):
            part(race)
    return 0


if __name__ == "__main__":
    sys.exit(main())
