"""scipy_report.py PROGRAM [--tap=FILE]: a study of four variants and ten seeds, whose report is
recomputed here by numpy and scipy: every figure of results.json's pairs, and of findings.md's
tables of variants and pairs; and a study of what makes the spread."""
import itertools
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile

import numpy as np
from scipy import stats

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
from tap import Tap  # noqa: E402
import scipy_factors  # noqa: E402
from scipy_factors import holm  # noqa: E402

program, out = sys.argv[1], tempfile.mkdtemp()
SEEDS, IMAGES, MARGIN = 10, 400, {"accuracy": 0.05, "loss": 0.001}
# Names in the order of the report; what each adds to an image's difficulty, and to its noise. The
# last two are nearly one variant.
VARIANTS = {"alpha": (0.0, 1.0), "beta": (1.1, 1.0), "gamma": (0.3, 0.4), "gamma_again": (0.3, 0.4)}
draw = np.random.default_rng(7)


def study():
    """right[variant] and loss[variant]: (seeds, images)."""
    hard, right, loss = 2 * draw.normal(size=IMAGES) - 2, {}, {}
    effect = 0.4 * draw.normal(size=(SEEDS, 1))  # what a seed does to all variants
    noise = {}
    for name, (shift, scale) in VARIANTS.items():
        fresh = draw.normal(size=(SEEDS, IMAGES))
        noise[name] = fresh if name != "gamma_again" else noise["gamma"] + 0.04 * fresh
        score = hard + effect + shift + scale * noise[name]
        right[name] = score < 0
        loss[name] = np.float64([[float(f"{v:.8g}") for v in row] for row in np.log1p(np.exp(score))])
    return right, loss


def write(right, loss):
    for name in VARIANTS:
        for seed in range(SEEDS):
            unit = os.path.join(out, name, f"seed-{seed + 1}")
            os.makedirs(unit)
            final = {"event": "final", "train_loss": 0.1, "train_accuracy": 98,
                     "test_loss": loss[name][seed].mean(),
                     "test_accuracy": 100 * right[name][seed].mean()}
            with open(os.path.join(unit, "metrics.jsonl"), "w") as file:
                file.write(json.dumps(final) + "\n")
            with open(os.path.join(unit, "predictions.csv"), "w") as file:
                file.write("image,label,prediction,probability,loss\n")
                for i in range(IMAGES):
                    read = i % 10 if right[name][seed][i] else (i + 1) % 10
                    file.write(f"{i},{i % 10},{read},0.5,{loss[name][seed][i]:.8g}\n")


def need(mean, sd, reach, power):
    n = 3
    while n < ((stats.t.ppf(reach, n - 1) + stats.t.ppf(power, n - 1)) * sd / mean) ** 2:
        n += 1
    return n


def two_way(d):
    """Two-way analysis of variance with one value a cell, both factors random."""
    n, m = d.shape
    grand, rows, columns = d.mean(), d.mean(axis=1), d.mean(axis=0)
    seed = m * np.square(rows - grand).sum() / (n - 1)
    image = n * np.square(columns - grand).sum() / (m - 1)
    rest = np.square(d - rows[:, None] - columns + grand).sum() / ((n - 1) * (m - 1))
    variance = seed + image - rest
    assert variance > 0
    df = variance ** 2 / (seed ** 2 / (n - 1) + image ** 2 / (m - 1) + rest ** 2 / (n - 1) / (m - 1))
    half = stats.t.ppf(0.975, df) * math.sqrt(variance / n / m)
    return grand - half, grand + half


def compare(metric, x, y):
    """x, y: (seeds, images), per cent right or losses."""
    d = x.mean(axis=1) - y.mean(axis=1)
    t = stats.ttest_rel(x.mean(axis=1), y.mean(axis=1))
    low, high = stats.t.interval(0.95, SEEDS - 1, d.mean(), stats.sem(d))
    flips = np.array(list(itertools.product([1, -1], repeat=SEEDS))) @ d
    above = stats.ttest_1samp(d, -MARGIN[metric], alternative="greater").pvalue
    below = stats.ttest_1samp(d, MARGIN[metric], alternative="less").pvalue
    better = (d > 0 if metric == "accuracy" else d < 0) + 0.5 * (d == 0)
    return {"metric": metric, "seeds": SEEDS, "difference": d.mean(), "sd": d.std(ddof=1),
            "low": low, "high": high, "p": t.pvalue, "margin": MARGIN[metric],
            "p_sign_flip": np.mean(np.abs(flips) >= abs(d.sum()) - 1e-12 * np.abs(d).sum()),
            "p_equivalent": max(above, below), "a_better": better.mean(), "differ_in": [],
            "images": two_way(x - y)}


def expected(right, loss):
    pairs = []
    for a, b in itertools.combinations(VARIANTS, 2):
        pairs.append({"a": a, "b": b, **compare("accuracy", 100.0 * right[a], 100.0 * right[b])})
        pairs.append({"a": a, "b": b, **compare("loss", loss[a], loss[b])})
    for p, equal, pair in zip(holm([q["p"] for q in pairs]), holm([q["p_equivalent"] for q in pairs]),
                              pairs):
        pair["p_holm"], pair["p_equivalent"] = p, equal
        higher = (pair["difference"] > 0) == (pair["metric"] == "accuracy")
        pair["verdict"] = ("equal" if equal < 0.05 else "open" if p >= 0.05 else
                           "a" if higher else "b")
        level, size = 0.05 / len(pairs), abs(pair["difference"])
        seeds = need(size, pair["sd"], 1 - level / 2, 0.8)
        if size < pair["margin"]:
            seeds = min(seeds, need(pair["margin"] - size, pair["sd"], 1 - level, 0.9))
        pair["seeds_needed"] = seeds if pair["verdict"] == "open" else None
    return pairs


right, loss = study()
write(right, loss)
want = expected(right, loss)


def report():
    done = subprocess.run([program, "report", out], capture_output=True, text=True)
    assert done.returncode == 0, done


def results_json():
    with open(os.path.join(out, "report/results.json"), encoding="utf-8") as file:
        results = json.load(file)
    assert list(results) == ["runs", "pairs", "commit", "version"] and len(results["pairs"]) == 12
    for got, pair in zip(results["pairs"], want):
        assert set(got) == set(pair) - {"images"}, set(got) ^ set(pair)
        for key, value in got.items():
            if isinstance(value, float):
                assert math.isclose(value, pair[key], rel_tol=1e-7, abs_tol=1e-10), (key, got, pair)
            else:
                assert value == pair[key], (key, got, pair)
    verdicts = {q["verdict"] for q in want}
    assert {"equal", "open"} < verdicts and verdicts & {"a", "b"}, verdicts


def table(title, folder=out):
    text = open(os.path.join(folder, "report/findings.md"), encoding="utf-8").read()
    lines = text.split(f"## {title}\n\n")[1].split("\n\n")[0].splitlines()
    return [[c.strip().replace("\\", "") for c in line.strip("|").split("|")] for line in lines[2:]]


def findings_variants():
    rows = table("Results")
    assert [r[0] for r in rows] == list(VARIANTS), rows
    for row in rows:
        x = 100 * right[row[0]].mean(axis=1)
        low, high = stats.t.interval(0.95, SEEDS - 1, x.mean(), stats.sem(x))
        p = right[row[0]].mean(axis=0)
        chance = 100 * math.sqrt(SEEDS / (SEEDS - 1) * np.sum(p * (1 - p))) / IMAGES
        assert row[1:6] == [str(SEEDS), f"{x.mean():.2f}", f"{x.std(ddof=1):.3f}", f"{chance:.3f}",
                            f"{low:.2f} to {min(high, 100):.2f}"], (row, x, chance)
        binomial = 100 * math.sqrt(x.mean() / 100 * (1 - x.mean() / 100) / IMAGES)
        assert row[7] == f"{binomial:.3f}", (row, binomial)


def findings_pairs():
    for metric, title, digits in (("accuracy", "Comparisons in test accuracy", 3),
                                  ("loss", "Comparisons in test loss", 5)):
        rows, pairs = table(title), [q for q in want if q["metric"] == metric]
        assert len(rows) == len(pairs) == 6
        for row, q in zip(rows, pairs):
            wilson = stats.binomtest(round(q["a_better"] * SEEDS), SEEDS).proportion_ci(
                method="wilson") if q["a_better"] * SEEDS % 1 == 0 else None
            assert row[0] == f"{q['a']} − {q['b']}", row
            assert float(row[2]) == round(q["difference"], digits), (row, q)
            assert row[3] == f"{q['low']:.{digits}f} to {q['high']:.{digits}f}", (row, q)
            assert row[4] == "{:.{d}f} to {:.{d}f}".format(*q["images"], d=digits), (row, q)
            for cell, key in zip(row[5:9], ("p", "p_sign_flip", "p_holm", "p_equivalent")):
                assert cell.startswith("<") or abs(float(cell) - q[key]) <= max(
                    0.00051, 0.0051 * (q[key] > 0.01)), (
                    key, row, q)
                assert not cell.startswith("<") or q[key] < 1e-4, (key, row, q)
            if wilson:
                assert row[10] == (f"{100 * q['a_better']:.0f} % ({100 * wilson.low:.0f} to "
                                   f"{100 * wilson.high:.0f})"), (row, wilson)
            said = {"a": f"{q['a']} is better", "b": f"{q['b']} is better"}.get(q["verdict"])
            assert row[9].startswith(said or q["verdict"]), (row, q)


def pictures():
    """The matrix of pairs and the seeds by row, as gnuplot is told them."""
    with open(os.path.join(out, "report/plots/verdicts.gp"), encoding="utf-8") as file:
        said = {(int(float(x)), -int(float(y)), round(-float(y) % 1, 2)): text for text, x, y in re.findall(
            r"set label '([^']*)' at (\S+), (\S+) center", file.read()) if float(y) < 0}
    names = list(VARIANTS)
    assert len(said) == 24, said
    for q in want:
        a, b, loss_side = names.index(q["a"]), names.index(q["b"]), q["metric"] == "loss"
        row, column = (b, a) if loss_side else (a, b)
        better = {"a": a, "b": b}.get(q["verdict"])
        sign = "=" if q["verdict"] == "equal" else "open" if better is None else "◀" if better == row else "▲"
        figure = -1000 * q["difference"] if loss_side else q["difference"]
        assert said[column, row, 0.32] == sign, (q, said)
        assert abs(float(said[column, row, 0.7]) - figure) <= (
            0.00051 if abs(figure) < 9.9995 else 0.051), (q, said)
    with open(os.path.join(out, "report/plots/seeds.dat"), encoding="utf-8") as file:
        seeds, means = [[list(map(float, line.split())) for line in block.splitlines() if line[0] != "#"]
                        for block in file.read().split("\n\n\n")]
    for k, name in enumerate(names):
        x = {"accuracy": 100 * right[name].mean(axis=1), "loss": loss[name].mean(axis=1)}
        got = np.array([row for row in seeds if row[0] == k])
        assert np.allclose(got[:, 3], x["accuracy"], rtol=1e-5), name
        assert np.allclose(got[:, 4], x["loss"], rtol=1e-5), name
        for at, y in ((1, x["accuracy"]), (4, x["loss"])):
            low, high = stats.t.interval(0.95, SEEDS - 1, y.mean(), stats.sem(y))
            assert np.allclose(means[k][at:at + 3], [y.mean(), low, min(high, 100)], rtol=1e-5), name


def plan():
    """Seeds for a margin and a power, from the upper 80 % limit of the spread."""
    done = subprocess.run([program, "plan", out, "--margin", "1.5", "--loss-margin", "0.02", "--power",
                           "0.9"], capture_output=True, text=True)
    assert done.returncode == 0, done
    rows = [re.split(r" {2,}", line) for line in done.stdout.splitlines()
            if re.match(r"\w+, \w+ ", line)]
    assert len(rows) == 6, done.stdout
    most, level = 0, 0.05 / 12
    for row, pair in zip(rows, itertools.combinations(VARIANTS, 2)):
        assert row[0] == ", ".join(pair) and row[1] == str(SEEDS), row
        for at, metric, margin, digits in ((2, "accuracy", 1.5, 3), (4, "loss", 0.02, 5)):
            seen = next(q for q in want if (q["a"], q["b"]) == pair and q["metric"] == metric)["sd"]
            sd = seen * math.sqrt((SEEDS - 1) / stats.chi2.ppf(0.2, SEEDS - 1))
            seeds = max(need(margin, sd, 1 - level / 2, 0.9), need(margin, sd, 1 - level, 0.95))
            assert row[at] == f"{sd:.{digits}f}" and row[at + 1] == str(seeds), (row, sd, seeds)
            most = max(most, seeds) if metric == "accuracy" else most
    assert f"All 4 variants with {most} seeds: {4 * (most - SEEDS)} more runs." in done.stdout, (
        most, done.stdout)


STREAMS = ["init", "order", "augment", "dropout"]
LAYERS = [{"conv": 10, "kernel": 3, "norm": True}, {"pool": "average"}]
# Runs of two norms where these streams follow the seed, not in the order of the report: the spread
# of each, and how many seeds; one without a spread, one of a single seed, one whose record is of
# before there was the key, and a variant that has no other to stand beside.
SPREADS = {"a_order": ("batch", ["order"], 0.02, 10), "b_all": ("batch", STREAMS, 0.03, 10),
           "c_init": ("batch", ["init"], 0, 4), "d_dropout": ("batch", ["dropout"], 0.01, 1),
           "e_pair": ("instance", ["order", "augment"], 0.05, 3), "f_old": ("instance", None, 0.04, 7),
           "g_alone": ("layer", ["init"], 0.02, 5)}


def spread():
    """Deviation and chi-square interval of what each stream brings."""
    folder, want = tempfile.mkdtemp(), []
    for name, (norm, streams, sd, seeds) in SPREADS.items():
        accuracy = 99 + sd * draw.normal(size=seeds)
        figures = {"accuracy": accuracy, "loss": (100 - accuracy) / 30 + 0.01 * sd * draw.normal(size=seeds)}
        for metric, x in figures.items():
            row = {"variant": name, "vary": streams or STREAMS, "metric": metric, "seeds": seeds,
                   "sd": None, "low": None, "high": None}
            if seeds > 1:
                row["sd"] = x.std(ddof=1) if sd else 0
            if seeds > 1 and sd:
                row["low"], row["high"] = np.sqrt(
                    (seeds - 1) * row["sd"] ** 2 / stats.chi2.ppf([0.975, 0.025], seeds - 1))
            want.append(row)
        for seed in range(seeds):
            unit = os.path.join(folder, name, f"seed-{seed + 1}")
            os.makedirs(unit)
            train = {"seed": seed + 1} | ({"vary": streams} if streams else {})
            with open(os.path.join(unit, "run.json"), "w") as file:
                json.dump({"name": name, "seed": seed + 1, "status": "finished", "config": {
                    "name": name, "model": {"norm": norm, "layers": LAYERS}, "train": train}}, file)
            with open(os.path.join(unit, "metrics.jsonl"), "w") as file:
                file.write(json.dumps({"event": "final", "train_loss": 0.1, "train_accuracy": 98,
                                       "test_loss": figures["loss"][seed],
                                       "test_accuracy": accuracy[seed]}) + "\n")
    done = subprocess.run([program, "report", folder], capture_output=True, text=True)
    assert done.returncode == 0, done
    with open(os.path.join(folder, "report/results.json"), encoding="utf-8") as file:
        got = json.load(file)["spread"]
    order = ["b_all", "a_order", "c_init", "d_dropout", "f_old", "e_pair"]  # all streams first
    want.sort(key=lambda row: order.index(row["variant"]) if row["variant"] in order else 99)
    rows = table("What makes the spread", folder)
    assert len(got) == 2 * len(order) and len(rows) == len(order), (got, rows)
    for i, (one, row) in enumerate(zip(got, want)):
        assert set(one) == set(row), (one, row)
        for key, value in one.items():
            if isinstance(value, float) and row[key]:
                assert math.isclose(value, row[key], rel_tol=1e-9), (key, one, row)
            else:
                assert value == row[key], (key, one, row)
        cells, digits = rows[i // 2], 5 if i % 2 else 3
        seen = "–" if row["sd"] is None else f"{row['sd']:.{digits}f}"
        limits = f"{row['low']:.{digits}f} to {row['high']:.{digits}f}" if row["low"] else "–"
        assert cells[:3] == [row["variant"], ", ".join(row["vary"]), str(row["seeds"])], (cells, row)
        assert cells[3 + i % 2 * 2:5 + i % 2 * 2] == [seen, limits], (cells, row)
    page = open(os.path.join(folder, "report/index.html"), encoding="utf-8").read()
    assert "no shares of a whole: training is chaotic, and any one stream can bring nearly all" in page
    shutil.rmtree(folder)


tap = Tap("statistics", sys.argv)
for test in (report, results_json, findings_variants, findings_pairs, pictures, plan, spread,
             *scipy_factors.tests(program)):
    tap.test(test)
shutil.rmtree(out)
tap.end()
