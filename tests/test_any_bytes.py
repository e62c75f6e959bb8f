#!/usr/bin/python3
"""test_any_bytes.py PROGRAM [--tap=FILE]: what normlab writes is well-formed whatever bytes stand in
names and texts: SVG and the workbook's parts for an XML parser, the page for an HTML parser, JSON and
Markdown as UTF-8; and a name that is shown is shown as it is. NORMLAB_DRAWS: how many studies are
drawn (default 3), from NORMLAB_SEED (default 1)."""
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import zipfile
from html.parser import HTMLParser
from xml.parsers import expat

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from tap import Tap  # noqa: E402

program, folder = sys.argv[1], os.fsencode(tempfile.mkdtemp())
data = os.path.join(folder, b"data")
DRAWS, SEED = int(os.environ.get("NORMLAB_DRAWS", 3)), int(os.environ.get("NORMLAB_SEED", 1))
PIECES = [p.encode() for p in (
    "a", "Z", "9", " ", "-", "_", ".", "&", "<", ">", '"', "'", "''", "`", "\\", "\\n", "$", "{", "}",
    "^", "@", "#", "%", "%s", "|", "*", "[", "]", "(", ")", ";", "~", "=", ",", "]]>", "<!--", "-->",
    "</text>", "&amp;", "&#0;", "<?x", "$(id)", "`id`", "\t", "\n", "\r", "\x01", "\x08", "\x0b",
    "\x1b[2J", "\x7f", "\x80", "\x9b", "\xa0", "é", "ß", "漢", "🜚", "\u0301", "\u2028", "\u202e",
    "\ufeff", "\ufffd", "\ufffe", "\uffff", "\U0001ffff", "\U0010ffff")]
BROKEN = [b"\xff", b"\xfe", b"\xc3", b"\xc3(", b"\xe2\x82", b"\xed\xa0\x80", b"\xc0\xaf", b"\xf5"]
LAYERS = [{"conv": 8, "kernel": 5, "pad": 2, "norm": True, "relu": True}, {"pool": "max", "size": 2},
          {"conv": 10, "kernel": 3}, {"pool": "average"}]


def text(draw, most, pieces):
    """A text of at most so many bytes that is no path and no part of one."""
    made = b"".join(draw.choice(pieces) for _ in range(draw.randint(1, 9)))
    if draw.random() < 0.2:
        made += bytes(draw.randrange(1, 256) for _ in range(9)) if pieces is not PIECES else b"long" * 20
    made = made.replace(b"/", b"").replace(b"\0", b"")
    return made.decode(errors="surrogateescape").encode(errors="surrogateescape")[:most]


def words(draw, most):
    """The same for JSON, which knows no broken bytes."""
    return text(draw, most, PIECES).decode(errors="ignore")


def is_xml(char):
    code = ord(char)
    return code in (9, 10, 13) or 0x20 <= code <= 0xd7ff or 0xe000 <= code <= 0xfffd or code > 0xffff


def is_shown(name):
    """Whether a folder of that name is a variant: text that XML can hold, in one line."""
    try:
        chars = name.decode()
    except UnicodeDecodeError:
        return False
    return name[:1] != b"." and all(is_xml(c) and c >= " " and not "\x7f" <= c < "\xa0"
                                       for c in chars)


def write_data():
    os.makedirs(data)
    for part in (b"train", b"t10k"):
        for kind, header, content in ((b"images-idx3", [3, 0, 0, 0, 40, 0, 0, 0, 28, 0, 0, 0, 28],
                                       bytes(i % 251 for i in range(40 * 784))),
                                      (b"labels-idx1", [1, 0, 0, 0, 40], bytes(i % 10 for i in range(40)))):
            with open(os.path.join(data, part + b"-" + kind + b"-ubyte"), "wb") as file:
                file.write(bytes([0, 0, 8] + header) + content)


def config(draw):
    names = [words(draw, 20) + str(i) for i in range(10)]
    norm = draw.choice(["batch", "layer", "group"])
    return {"data": {"class_names": names}, "model": {"norm": norm, "layers": LAYERS},
            "train": {"epochs": 2}}


def write_run(draw, unit, seed, setting):
    os.makedirs(unit)
    records = [{"event": "epoch", "epoch": e, "lr": 0.01, "train_loss": 0.5, "train_accuracy": 95,
                "test_loss": draw.random(), "test_accuracy": 90 + 9 * draw.random(), "seconds": 1.5,
                "images_per_second": 40000} for e in range(2)]
    records += [{"event": "layer", "epoch": e, "layer": f"conv{i}", "z_sd": 1, "dy_sd": 0.1,
                 "zero": 0.5, "dead": 0} for e in (-1, 0) for i in (1, 2)]
    failed = draw.random() < 0.2
    if not failed:
        records.append({"event": "final", "train_loss": 0.03, "train_accuracy": 99,
                        "test_loss": draw.random(), "test_accuracy": 90 + 9 * draw.random()})
    with open(os.path.join(unit, b"metrics.jsonl"), "w") as file:
        file.write("".join(json.dumps(r) + "\n" for r in records))
    with open(os.path.join(unit, b"run.json"), "w") as file:
        json.dump({"config": setting, "seed": seed, "status": "failed" if failed else "finished",
                   "error": words(draw, 300), "device": {"backend": words(draw, 20),
                                                         "description": words(draw, 100)},
                   "failure": {"epoch": 1, "step": 2, "loss": words(draw, 8)},
                   "versions": {"normlab": words(draw, 20)},
                   "options": {"data": os.fsdecode(data), "init": words(draw, 50)}}, file)
    with open(os.path.join(unit, b"predictions.csv"), "w") as file:
        file.write("image,label,prediction,probability\n")
        file.writelines(f"{i},{i % 10},{(i + (draw.random() < 0.2)) % 10},0.9\n" for i in range(40))


def write_study(draw):
    """A new folder with runs; its path, and the names that are to be shown."""
    out, shown = os.path.join(folder, b"out-" + text(draw, 60, PIECES + BROKEN)), set()
    while len(shown) < 3:
        name = text(draw, 120, PIECES + BROKEN if len(shown) == 2 else PIECES)
        if os.path.exists(os.path.join(out, name)):
            continue
        setting = config(draw)
        for seed in (1, 2, 3):
            write_run(draw, os.path.join(out, name, b"seed-%d" % seed), seed, setting)
        if is_shown(name):
            shown.add(name.decode())
    return out, shown


class Page(HTMLParser):
    """What is not closed as it was opened, what no page holds, and the rows of the results."""
    VOID = {"meta", "link", "img", "br"}

    def __init__(self):
        super().__init__()
        self.open, self.bad, self.table, self.rows, self.cell = [], [], None, [], None

    def handle_starttag(self, tag, attrs):
        if tag == "table":
            self.table = dict(attrs).get("id")
        if tag in ("script", "iframe", "object") or any(name.startswith("on") for name, _ in attrs):
            self.bad.append((tag, attrs))
        if tag == "th":
            self.cell = ""
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.bad.append((tag, self.getpos()))
        if tag == "th" and self.table == "results":
            self.rows.append(self.cell)
        if tag == "th":
            self.cell = None

    def handle_data(self, text):
        if self.cell is not None:
            self.cell += text

    def handle_comment(self, text):
        self.bad.append(("comment", text))


def parse_xml(content):
    try:
        expat.ParserCreate().Parse(content, True)
    except expat.ExpatError as error:
        raise AssertionError(content.split(b"\n")[error.lineno - 1]) from error


def check_page(content, shown):
    page, chars = Page(), content.decode()
    assert all(is_xml(c) for c in chars), [hex(ord(c)) for c in chars if not is_xml(c)]
    page.feed(chars)
    page.close()
    assert not page.bad and not page.open, (page.bad[:3], page.open)
    assert shown <= set(page.rows), (shown, page.rows)


def check_report(report, shown):
    kinds = set()
    for name in [os.path.join(at, name) for at, _, names in os.walk(report) for name in names]:
        kind = name.rsplit(b".", 1)[-1]
        kinds.add(kind)
        with open(name, "rb") as file:
            content = file.read()
        assert content, name
        if kind == b"svg":
            parse_xml(content)
        elif kind == b"html":
            check_page(content, shown)
        elif kind == b"json":
            assert set(json.loads(content.decode())["runs"]) == shown
        elif kind == b"xlsx":
            with zipfile.ZipFile(os.fsdecode(name)) as book:
                for part in book.namelist():
                    parse_xml(book.read(part))
        elif kind != b"png":
            content.decode()
    assert {b"svg", b"html", b"json", b"xlsx", b"md", b"png"} <= kinds, kinds


def is_line(line):
    return all(c >= 32 and c != 127 for c in line)


def reports_are_well_formed():
    for i in range(DRAWS):
        draw = random.Random(f"{SEED} {i}")
        out, shown = write_study(draw)
        done = subprocess.run([program, "report", out], capture_output=True)
        assert done.returncode == 0, (i, done)
        assert all(is_line(line) for line in done.stderr.split(b"\n")), (i, done.stderr)
        try:
            check_report(os.path.join(out, b"report"), shown)
        except BaseException:
            print(f"seed {SEED}, draw {i}: {out!r}: {sorted(os.listdir(out))!r}", file=sys.stderr)
            raise
        shutil.rmtree(out)


def records_are_json():
    """Of a run in, with data from, folders of any name."""
    config_path = os.path.join(folder, b"toy.yaml")
    with open(config_path, "w") as file:
        json.dump({"model": {"norm": "layer", "layers": LAYERS}}, file)
    for i in range(DRAWS):
        draw = random.Random(f"{SEED} record {i}")
        name = text(draw, 60, PIECES + BROKEN)
        named, out = os.path.join(folder, b"d" + name), os.path.join(folder, b"o" + name)
        os.symlink(data, named)
        done = subprocess.run([program, "train", config_path, "--data", named, "--out", out, "--epochs",
                               "0", "--quiet", "--device", "cpu"], capture_output=True)
        assert done.returncode == 0, (i, name, done)
        with open(os.path.join(out, b"toy/seed-1/run.json"), "rb") as file:
            assert json.loads(file.read().decode())["name"] == "toy"
        os.unlink(named)
        shutil.rmtree(out)


tap = Tap("any_bytes", sys.argv)
write_data()
tap.test(reports_are_well_formed)
tap.test(records_are_json)
shutil.rmtree(folder)
tap.end()
