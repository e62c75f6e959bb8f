#!/usr/bin/python3
"""test_page.py PROGRAM [--tap=FILE]: the page of a small study. Its tables must hold the numbers of
the run folder, and headless Chromium, kept off the network, must show it without an error, with all
pictures, light and dark, and no wider than a phone."""
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from tap import Tap  # noqa: E402

program, folder = sys.argv[1], tempfile.mkdtemp()
out, data = os.path.join(folder, "out"), os.path.join(folder, "data")
page = os.path.join(out, "report/index.html")
HOSTILE = "a&b<c>\"d'"
LONG = "n" * 90
ACCURACY = {"bn": [99.41, 99.37, 99.44], "gn": [99.22, 99.31, 99.25], HOSTILE: [98.5, 98.75, 99.0],
            LONG: [98.5, 98.6, 98.4]}


def idx(name, shape, content):
    with open(os.path.join(data, name), "wb") as file:
        file.write(bytes([0, 0, 8, len(shape)]))
        for size in shape:
            file.write(size.to_bytes(4, "big"))
        file.write(content)


def write_data():
    os.makedirs(data)
    for name in ("train", "t10k"):
        idx(name + "-images-idx3-ubyte", [40, 28, 28], bytes(i % 251 for i in range(40 * 784)))
        idx(name + "-labels-idx1-ubyte", [40], bytes(i % 10 for i in range(40)))


def config(norm, epochs):
    layers = [{"conv": 8, "kernel": 5, "pad": 2, "norm": True, "relu": True},
              {"pool": "max", "size": 2, "dropout": True},
              {"conv": 10, "kernel": 3, "pad": 0, "norm": False, "relu": False},
              {"pool": "average"}]
    return {"name": norm, "data": {"mean": 0.1307, "std": 0.3081, "rotate": 7.0, "shuffle": True,
                                   "batch": 64},
            "model": {"norm": norm, "group_size": 4, "eps": 1e-5, "dropout": 0.05,
                      "layers": layers},
            "train": {"epochs": epochs, "lr": 0.01, "momentum": 0.9, "nesterov": False, "l1": 0.0,
                      "weight_decay": 0.0, "norm_momentum": 0.1,
                      "schedule": {"kind": "step", "every": 2, "factor": 0.1}, "seed": 1,
                      "math": "fp32"}}


def write_runs():
    for name, finals in ACCURACY.items():
        for seed, accuracy in enumerate(finals, 1):
            unit = os.path.join(out, name, f"seed-{seed}")
            os.makedirs(unit)
            records = [{"event": "epoch", "epoch": e, "lr": 0.01, "train_loss": 0.5 / (e + 1),
                        "train_accuracy": 95 + e, "test_loss": 0.2 / (e + 1),
                        "test_accuracy": accuracy - 1 + 0.3 * e, "seconds": 1.5,
                        "images_per_second": 40000} for e in range(3)]
            records.append({"event": "final", "train_loss": 0.0301, "train_accuracy": 99.01,
                            "test_loss": 0.0123 + seed / 1000, "test_accuracy": accuracy})
            with open(os.path.join(unit, "metrics.jsonl"), "w") as file:
                file.write("".join(json.dumps(r) + "\n" for r in records))
            with open(os.path.join(unit, "run.json"), "w") as file:
                norm = "group" if name == "gn" else "batch"
                epochs = 20 if name == "bn" else 3
                json.dump({"config": config(norm, epochs), "seed": seed, "status": "finished",
                           "device": {"description": "a <device> & more"},
                           "versions": {"normlab": "0"}, "options": {"data": data}}, file)
            with open(os.path.join(unit, "predictions.csv"), "w") as file:
                file.write("image,label,prediction,probability\n")
                for i in range(40):
                    read = (i + 1) % 10 if i < seed + 2 else i % 10
                    file.write(f"{i},{i % 10},{read},0.9{i}\n")


class Tables(HTMLParser):
    """Every table of a page, by id, as rows of text; and what is not closed as it was opened."""
    VOID = {"meta", "link", "img", "br"}

    def __init__(self):
        super().__init__()
        self.tables, self.open, self.bad, self.rows, self.cell = {}, [], [], None, None

    def handle_starttag(self, tag, attrs):
        if tag == "table":
            self.rows = self.tables.setdefault(dict(attrs)["id"], [])
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.cell = ""
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.bad.append((tag, self.getpos()))
        if tag in ("td", "th"):
            self.rows[-1].append(self.cell)
            self.cell = None

    def handle_data(self, text):
        if self.cell is not None:
            self.cell += text


def read_tables():
    parser = Tables()
    with open(page, encoding="utf-8") as file:
        parser.feed(file.read())
    assert not parser.bad and not parser.open, (parser.bad[:3], parser.open)
    return parser.tables


def report():
    write_data()
    write_runs()
    done = subprocess.run([program, "report", out], capture_output=True, text=True)
    assert done.returncode == 0, done
    assert done.stdout == f"report: {page}\n", done.stdout
    assert done.stderr == "", done.stderr


def tables_hold_the_metrics():
    tables = read_tables()
    for name, finals in ACCURACY.items():
        mean = sum(finals) / 3
        sd = (sum((x - mean) ** 2 for x in finals) / 2) ** 0.5
        row = [r for r in tables["results"] if r[0] == name][0]
        assert row[1:4] == ["3", f"{mean:.2f}", f"{sd:.3f}"], row
        assert row[8] == f"{max(finals):.2f} ({finals.index(max(finals)) + 1})", row
        assert row[10] == "0.0143" and row[11] == "99.01", row
        for seed, accuracy in enumerate(finals, 1):
            run = [r for r in tables["runs"] if r[:2] == [name, str(seed)]][0]
            assert run[3:] == [f"{accuracy:.2f}", f"{0.0123 + seed / 1000:.4f}", "99.01", "0.0301",
                               "finished"], run
    pairs = [r[0] for r in tables["pairs"][1:]]
    names = [r[0] for r in tables["results"][1:]]
    assert pairs == [f"{a} − {b}" for a, b in itertools.combinations(names, 2)], pairs
    pairs = {r[0]: r[-1] for r in tables["pairs"][1:]}
    assert [pairs[f"{a} − {b}"] for a, b in (("bn", HOSTILE), ("gn", HOSTILE), ("gn", "bn"))] == [
        "train.epochs", "model.norm", "model.norm, train.epochs"], pairs
    verdicts = [r[4] for r in tables["parity"][1:]]
    assert verdicts == ["not comparable: the original trained 20 whole epochs", "inside (3 of 10 seeds)"]
    assert tables["origins"][1][3] == "a <device> & more"


def results_hold_the_metrics():
    with open(os.path.join(out, "report/results.json"), encoding="utf-8") as file:
        results = json.load(file)
    assert list(results) == ["runs", "pairs", "commit", "version"]
    results = results["runs"]
    assert list(results) == ["gn", "bn", HOSTILE, LONG]
    for name, finals in ACCURACY.items():
        assert [r["seed"] for r in results[name]] == [1, 2, 3]
        assert [r["end"] for r in results[name]] == ["finished"] * 3
        assert [r["final"]["test_accuracy"] for r in results[name]] == finals
        assert [p["test_loss"] for p in results[name][0]["epochs"]] == [0.2, 0.1, 0.066666667]


def confusion_counts():
    tables = read_tables()
    rows = [r[1:] for r in tables["confusion1"][1:]]
    assert len(rows) == 10 and all(len(r) == 10 for r in rows)
    counts = [[int(cell or 0) for cell in row] for row in rows]
    assert sum(map(sum, counts)) == 120
    wrong = sum(counts[t][p] for t in range(10) for p in range(10) if t != p)
    assert wrong == 3 + 4 + 5 and counts[0][1] == 3 and counts[4][5] == 1, counts


def architecture():
    rows = read_tables()["architecture0"]
    assert [r[0] for r in rows[1:]] == ["1", "2", "3", "4"], rows
    assert rows[1][2] == "8 × 28 × 28" and rows[1][5:8] == ["200", "8", "16"], rows[1]


def nothing_from_elsewhere():
    text = open(page, encoding="utf-8").read()
    for attribute in re.findall(r"(?:src|href)=[\"']([^\"']*)", text):
        assert attribute.startswith(("data:", "#")), attribute[:100]
    assert "url(http" not in text and "@import" not in text and "<script" not in text
    ids = re.findall(r"\sid=[\"']([^\"']+)", text)
    assert len(ids) == len(set(ids)), "two elements have one id"


def pictures_are_xml():
    names = [n for n in os.listdir(os.path.join(out, "report")) if n.endswith(".svg")]
    assert len(names) == 6, names
    for name in names:
        root = ElementTree.parse(os.path.join(out, "report", name)).getroot()
        words = "".join(root.itertext())
        assert HOSTILE in words, name
    assert open(page, encoding="utf-8").read().count("data:image/png;base64,") == len(ACCURACY)


def browse(target, *options):
    profile = tempfile.mkdtemp(dir=folder)
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
               "--disable-background-networking", "--disable-sync", "--hide-scrollbars",
               "--host-resolver-rules=MAP * ~NOTFOUND", "--enable-logging=stderr",
               f"--user-data-dir={profile}", *options,
               "--dump-dom", "file://" + target]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    said = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert not said, said
    return done.stdout


# Runs in a copy of the page: the page itself has no script.
PROBE = """<script>addEventListener('load', () => {
  const bad = [...document.images].filter(i => !i.complete || i.naturalWidth < 1000).length;
  const flat = [...document.querySelectorAll('.chart svg')].filter(
    s => s.getBoundingClientRect().height < 100 || s.querySelectorAll('path').length < 5).length;
  const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  document.body.dataset.probe = [document.images.length, bad,
    document.querySelectorAll('.chart svg').length, flat, wide].join(' ');
  const style = (what, key) => '|' + getComputedStyle(document.querySelector(what))[key];
  document.body.dataset.probe += style('body', 'backgroundColor') + style('li', 'color') +
    style('.chart svg text', 'fill') + style('.chart svg [color="var(--c1)"]', 'color');
});</script>"""


def probe(size, *options):
    copy = os.path.join(folder, "probe.html")
    with open(page, encoding="utf-8") as source, open(copy, "w", encoding="utf-8") as target:
        target.write(source.read().replace("</body>", PROBE + "</body>"))
    dom = browse(copy, f"--window-size={size}", *options)
    return re.search(r'data-probe="([^"]*)"', dom).group(1)


def chromium_shows_all():
    for size in ("1280,900", "500,900"):
        seen = probe(size).split("|")[0]
        assert seen == "4 0 6 0 0", (size, seen)


def luminance(colour):
    return sum(int(v) for v in re.findall(r"\d+", colour)[:3]) / 3


def chromium_light_and_dark():
    """Paper, and on it text, a chart's text and a chart's first line, stand out in both schemes."""
    for dark in (False, True):
        options = ["--blink-settings=preferredColorScheme=0"] if dark else []
        paper, *inks = [luminance(c) for c in probe("1280,900", *options).split("|")[1:]]
        assert paper < 40 if dark else paper > 230, paper
        assert len(inks) == 3 and all(abs(ink - paper) > 90 for ink in inks), (paper, inks)


tap = Tap("page", sys.argv)
for test in (report, tables_hold_the_metrics, results_hold_the_metrics, confusion_counts,
             architecture, nothing_from_elsewhere, pictures_are_xml):
    tap.test(test)
for test in (chromium_shows_all, chromium_light_and_dark):
    if shutil.which("chromium"):
        tap.test(test)
    else:
        tap.skip(test.__name__, "chromium is not installed")
shutil.rmtree(folder)
tap.end()
