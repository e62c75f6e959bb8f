#!/usr/bin/python3
"""test_fail_at.py PROGRAM LIBRARY [--tap=FILE] [--step=N] [CASE...]: one call fails - the first, the
second, and so on - and each time the program has to end by itself with a message, or have done all
that was asked; what was there before is intact, and the same command without the failure goes on to
the end. Each command, each kind of call; a few of the calls of each, spread evenly. --step=1: every
one, until the command passes. CASE: only these, as train:write. LIBRARY: fail_at.c."""
import json
import os
import re
import resource
import shutil
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from tap import Tap  # noqa: E402

KINDS = {  # and what the system says of such a failure
    "memory": ["out of memory", "Cannot allocate memory"],
    "write": ["No space left on device"],
    "fsync": ["Input/output error"],
    "rename": ["Input/output error"],
    "open": ["Too many open files"],
    "close": ["Input/output error"],
    "access": [""],  # of a file that is only looked for
    "read": ["Input/output error"],
    "seek": ["Input/output error"],
    "unlink": ["Input/output error"],
    "mkdir": ["No space left on device"],
    "link": ["Input/output error"],
    "list": ["Too many open files"],
    "lock": ["Input/output error"],
    "start": ["Resource temporarily unavailable"],  # threads and processes
}
ENDS = {".png": b"IEND\xaeB`\x82", ".svg": b"</svg>\n", "html": b"</html>\n", "json": b"}\n",
        "xlsx": b"\0\0"}
met = {}  # calls of each kind, of all commands
FEW = 5  # calls of a kind, without --step; of allocations each so-manieth:
MEMORY = {"train": 5, "join": 29, "resume": 11, "report": 11, "eval": 7, "plan": 3}

TOY = """\
data: {set: toy, shape: [1, 8, 8], classes: 4, mean: 0.5, std: 0.3, batch: 4}
model:
  norm: batch
  layers:
    - {conv: 4, kernel: 3, norm: true, relu: true}
    - {pool: max, size: 2, dropout: true}
    - {conv: 4, kernel: 3}
    - {pool: average}
train: {epochs: 2, momentum: 0.9, seed: 3}
"""
# In gnuplot's place: the pictures were drawn before.
GNUPLOT = """\
#!/bin/sh
name=${2##*/}
cp "$PICTURES/${name%.gp}".* .
"""

program, library = os.path.realpath(sys.argv[1]), os.path.realpath(sys.argv[2])
words = [a for a in sys.argv[3:] if not a.startswith("--")]
step = int(next((a[len("--step="):] for a in sys.argv if a.startswith("--step=")), 0))
memory = "/dev/shm"  # what is tested is not the disk, and that takes its time to sync
top = tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else None)
os.chdir(top)
environment = dict(os.environ, PICTURES=os.path.join(top, "pictures"), NORMLAB_CLAIM_SECONDS="0.1",
                   PATH=os.path.join(top, "bin") + ":" + os.environ["PATH"])
UNIT = "toy/seed-3"


# ---- what there is to work on ----

def write(path, content):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "wb") as file:
        file.write(content if isinstance(content, bytes) else content.encode())


def read(path):
    with open(path, "rb") as file:
        return file.read()


def make_data():
    for part, count in ("train", 12), ("t10k", 8):
        pixels = bytes((i * 37 + i * i // 5) % 256 for i in range(count * 64))
        write(f"data/{part}-images-idx3-ubyte", struct.pack(">IIII", 0x803, count, 8, 8) + pixels)
        write(f"data/{part}-labels-idx1-ubyte",
              struct.pack(">II", 0x801, count) + bytes(i * i % 4 for i in range(count)))


def train(out, *options):
    return ["train", "toy.yaml", "--data", "data", "--device", "cpu", "--threads", "1", "--jobs", "1",
            "--no-report", "--out", out, *options]


def run(argv, seconds=60, room=resource.RLIM_INFINITY, **variables):
    """The exit code; what it said is in said.out and said.err. room: of its addresses, bytes."""
    with open("said.out", "wb") as out, open("said.err", "wb") as err:
        return subprocess.run([program, *argv], stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                              env=dict(environment, **variables), timeout=seconds,
                              preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (room, room))
                              ).returncode


def done(argv):
    code = run(argv)
    assert code == 0, (argv, code, read("said.err"))


def fresh(name, source=None):
    shutil.rmtree(name, ignore_errors=True)
    if source:
        shutil.copytree(source, name)


# ---- what came of it ----

def timeless(text):
    text = re.sub(rb'epochs\\+":\d+', b"", text)  # a run that went on began with fewer
    return re.sub(rb'(seconds\\?"|images_per_second"|metrics_bytes\\+"): ?[-+.e\d]+|\[[^][{}"]*(it/s|s/it)\]|'
                  rb'"(started|updated|description)": "[^"]*"|\d+ s\b', b"", text)


def content(path):
    """All of a file but the times in it, and what their length changes."""
    data = read(path)
    if path.endswith(".safetensors"):
        size, = struct.unpack("<Q", data[:8])
        head = json.loads(data[8:8 + size])
        del head["__metadata__"]["sha256"]  # of times as well
        return timeless(json.dumps(head).encode()) + data[8 + size:]
    if path.endswith("files.txt"):  # in the folder's order
        return sorted(data.split(b"\n"))
    return data if path.endswith(".png") else timeless(data)


def names(folder, kind):
    """A claim that cannot be given back is a dead process's for the next command; what cannot be
    removed stays until then."""
    stays = re.compile(r"\.claim.*|.*\.tmp" if kind == "unlink" else r"\.claim.*")
    return sorted(name for name in os.listdir(folder) if not stays.fullmatch(name))


def expect_same(out, other, kind):
    assert names(out, kind) == names(other, kind), (names(out, kind), names(other, kind))
    for name in os.listdir(other):
        a, b = os.path.join(out, name), os.path.join(other, name)
        if os.path.isdir(b):
            expect_same(a, b, kind)
        elif name != ".lock":
            assert content(a) == content(b), f"{a} is not as {b}"


class Command:
    """begin: prepares; argv: what is run; check: what it left after `code` is in order."""
    def begin(self):
        fresh("out")

    def prepare(self):
        self.begin()
        done(self.argv)
        self.out = timeless(read("said.out"))

    def expect_all(self):
        """What is asked for is there, or standard error says what is not."""
        assert timeless(read("said.out")) == self.out or read("said.err"), "less on standard output"


class Train(Command):
    argv = train("out", "--save-every", "2", "--log-every", "1")

    def check(self, code, kind):
        if code == 0:
            self.expect_all()
        elif os.path.exists(f"out/{UNIT}/run.json"):
            done(self.argv + ["--resume"])
        else:  # nothing was promised yet
            done(self.argv + ["--overwrite"])
        expect_same("out", "whole", kind)


class Join(Train):
    argv = Train.argv + ["--join"]

    def check(self, code, kind):
        if code:
            done(self.argv)
        expect_same("out", "whole", kind)


class Resume(Train):
    argv = train("out", "--resume", "--epochs", "2")

    def begin(self):
        fresh("out", "half")

    def check(self, code, kind):
        if code == 0:
            self.expect_all()
        else:
            done(self.argv)
        expect_same("out", "whole", kind)


class Printed(Command):
    """Writes nothing but to standard output."""
    def __init__(self, *argv):
        self.argv = list(argv)

    def begin(self):
        pass

    def check(self, code, kind):
        if code == 0:
            self.expect_all()


class Written(Command):
    """Writes `file` in place of an old one."""
    def __init__(self, file, *argv):
        self.file, self.argv = file, [*argv, file]

    def begin(self):
        write(self.file, b"old")

    def prepare(self):
        super().prepare()
        self.content = read(self.file)

    def check(self, code, kind):
        if code:
            assert read(self.file) in (b"old", self.content), f"{self.file} is neither old nor new"
            done(self.argv)
        self.expect_all()
        assert read(self.file) == self.content, f"{self.file} is not whole"


class Report(Command):
    argv = ["report", "out"]

    def begin(self):
        fresh("out", "reported")

    def check(self, code, kind):
        if code:  # the old one is there, or the new one: then what is mine waits beside it
            mine = any(name.endswith(".tmp") for name in os.listdir("out"))
            for name in os.listdir("reported/report"):
                if not name.startswith("mine") and os.path.isfile("reported/report/" + name):
                    assert content("out/report/" + name) == content("reported/report/" + name), name
                else:
                    assert mine or os.path.exists("out/report/" + name), name
        elif not read("said.err"):
            expect_same("out", "reported", kind)
        for name in os.listdir("out/report"):  # whatever is there is whole
            path = "out/report/" + name
            if name.endswith(tuple(ENDS)):
                assert read(path).endswith(ENDS[name[-4:]]), path
        done(self.argv)
        expect_same("out", "reported", kind)


COMMANDS = {
    "train": Train(), "join": Join(), "resume": Resume(), "report": Report(),
    "eval": Written("logits.csv", "eval", f"whole/{UNIT}/last.safetensors", "--data", "data",
                    "--device", "cpu", "--json", "--logits"),
    "plan": Printed("plan", "reported"), "summary": Printed("summary", "toy.yaml"),
    "worksheet": Written("book.xlsx", "worksheet"),
}


# ---- one call fails, and the next ----

def fail(command, kind, n):
    """Of one run in which call n fails (0: none), how many calls there were; none if it ended at
    once."""
    command.begin()
    if os.path.exists("count"):
        os.remove("count")
    code = run(command.argv, LD_PRELOAD=library, NL_FAIL_KIND=kind, NL_FAIL_AT=str(n),
               NL_FAIL_COUNT=os.path.join(top, "count"))
    said = read("said.err").decode(errors="replace")
    try:
        assert 0 <= code < 124, "it did not end by itself"
        if code:
            assert re.search("^normlab: ", said, re.M), "nothing said"
            assert any(words in said for words in KINDS[kind]), "not the reason"
            assert code in ((1, 2, 3, 4, 6) if kind == "memory" else (2, 3, 6)), "another code"
        command.check(code, kind)
    except (AssertionError, OSError, subprocess.TimeoutExpired) as error:
        raise AssertionError(f"{kind} {n}: exit {code}: {error}: {said}") from error
    return int(read("count")) if os.path.exists("count") else None


WENT_ON = 77  # of a copy that was about to change something: see fail_each.h
STOOD_STILL = -14


def fail_memory(name, command):
    """Each allocation fails in a copy of the process, made there. Those that went on without it, or
    stood still as a copy can, are done again, whole."""
    stride = step or MEMORY.get(name, 1)
    command.begin()
    code = run(command.argv, 1000, LD_PRELOAD=library, NL_FAIL_KIND="memory",
               NL_FAIL_STEP=str(stride), NL_FAIL_LIST=os.path.join(top, "list"), NL_FAIL_COUNT=os.path.join(top, "count"))
    assert code == 0, (code, read("said.err"))
    command.check(code, "memory")
    tried = int(read("count")) // stride
    again = 0
    for line in read("list").decode(errors="replace").splitlines():
        n, code, words = line.split(" ", 2)
        if int(code) in (WENT_ON, STOOD_STILL, 0):
            fail(command, "memory", int(n))
            again += 1
            continue
        assert int(code) in (1, 2, 3, 6), f"allocation {n}: exit {code}: {words}"
        assert int(code) != 2 or "Cannot allocate memory" in words, line  # not the user's mistake
        assert words.startswith("normlab: ") and any(w in words for w in KINDS["memory"]), line
    print(f"{name}, memory: {tried} of {tried * stride} calls, {again} of them to the end", flush=True)


def fail_all(name, kind):
    command = COMMANDS[name]
    if kind == "memory":
        return fail_memory(name, command)
    calls = fail(command, kind, 0)
    met[kind] = met.get(kind, 0) + calls
    stride = step or calls // FEW + 1
    tried, n, bad = 0, 1, []
    while n <= calls or step == 1:
        try:
            count = fail(command, kind, n)
        except AssertionError as error:
            if not step:
                raise
            bad.append(n)
            print(error, flush=True)
            count = None
        if count is not None and count < n:
            break
        n, tried = n + stride, tried + 1
    print(f"{name}, {kind}: {tried} of {calls} calls, {len(bad)} failures", flush=True)
    assert not bad


def cases():
    if words:
        return [word.split(":") for word in words]
    return [[name, kind] for name in COMMANDS for kind in KINDS]


resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
make_data()
write("toy.yaml", TOY)
write("bin/gnuplot", GNUPLOT)
os.chmod("bin/gnuplot", 0o755)
os.mkdir("pictures")
done(train("whole", "--save-every", "2", "--log-every", "1"))
done(train("half", "--save-every", "2", "--log-every", "1", "--epochs", "1"))
write("other.yaml", TOY.replace("batch\n", "layer\n"))
for seed in "3", "4":
    done(train("reported", "other.yaml", "--epochs", "1", "--seeds", seed))
done(["report", "reported"])  # without gnuplot's pictures
for name in os.listdir("reported/report/plots"):
    if name.endswith(".gp"):
        text = read("reported/report/plots/" + name).decode()
        kinds = "png svg" if "svg'" in text.split("kind in", 1)[-1][:12] else "png"
        for kind in kinds.split():
            write(f"pictures/{name[:-3]}.{kind}", b"picture of " + name.encode() + ENDS["." + kind])
write("reported/report/mine.txt", "mine")  # which a new report carries over
write("reported/report/plots/mine.gp", "mine")
done(["report", "reported"])
assert not read("said.err"), read("said.err")
for command in COMMANDS.values():
    command.prepare()

tap = Tap("fail_at", sys.argv)
for name, kind in cases():
    test = lambda: fail_all(name, kind)  # noqa: E731
    test.__name__ = f"{name}_{kind}"
    tap.test(test)


def every_kind_is_met():
    assert not [kind for kind in KINDS if kind != "memory" and not met.get(kind)], met


def a_workbook_in_little_room():
    """libxlsxwriter's own allocations, which no call above makes fail: of address space there is
    what the program starts with, and a little more, and more. It refuses, or writes all of it."""
    least, enough, codes = 0, 1 << 30, []
    while enough - least > 1 << 16:
        middle = (least + enough) // 2
        least, enough = (least, middle) if run(["--version"], room=middle) == 0 else (middle, enough)
    for room in range(enough, enough + (24 << 20), 1 << 17):
        write("book.xlsx", b"old")
        code = run(["worksheet", "book.xlsx"], room=room)
        said = read("said.err").decode(errors="replace")
        assert code in (0, 1), (room - enough, code, said)
        assert code == 0 or re.match("normlab: .*: out of memory", said), (room - enough, said)
        assert read("book.xlsx") == (COMMANDS["worksheet"].content if code == 0 else b"old"), room
        codes.append(code)
    assert codes == sorted(codes, reverse=True) and {0, 1} == set(codes), codes


if not words:
    tap.test(every_kind_is_met)
    tap.test(a_workbook_in_little_room)
os.chdir("/")
shutil.rmtree(top)
tap.end()
