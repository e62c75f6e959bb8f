"""Studies that are grids: their factors, effects and F tests are recomputed from least squares on a
design matrix (sum-to-zero columns for every term, dummies for seeds) with numpy and scipy. Its tests
run in scipy_report.py."""
import itertools
import json
import math
import os
import re
import shutil
import subprocess
import tempfile

import numpy as np
from scipy import stats

LAYERS = [{"conv": 8, "kernel": 5, "pad": 2, "norm": True, "relu": True},
          {"conv": 10, "kernel": 3, "pad": 0, "norm": False, "relu": False}, {"pool": "average"}]


def config(norm, l1=0.0, l2=0.0, batch=64):
    return {"name": "x", "data": {"mean": 0.1307, "std": 0.3081, "rotate": 7.0, "shuffle": True,
                                  "batch": batch},
            "model": {"norm": norm, "group_size": 4, "eps": 1e-5, "dropout": 0.05,
                      "layers": LAYERS},
            "train": {"epochs": 20, "lr": 0.01 * batch / 64, "momentum": 0.9, "nesterov": False,
                      "l1": l1, "weight_decay": l2, "norm_momentum": 0.1,
                      "schedule": {"kind": "step", "every": 5, "factor": 0.1}, "seed": 1,
                      "math": "fp32"}}


def write(out, name, seed, keys, accuracy, loss, finished=True):
    unit = os.path.join(out, name, f"seed-{seed}")
    os.makedirs(unit)
    epoch = {"event": "epoch", "epoch": 0, "lr": 0.01, "train_loss": 0.2, "train_accuracy": 97,
             "test_loss": 0.1, "test_accuracy": 97, "seconds": 3600, "images_per_second": 1000}
    final = {"event": "final", "train_loss": 0.1, "train_accuracy": 98, "test_loss": loss,
             "test_accuracy": accuracy}
    with open(os.path.join(unit, "metrics.jsonl"), "w") as file:
        file.write("".join(json.dumps(r) + "\n" for r in ([epoch, final] if finished else [epoch])))
    with open(os.path.join(unit, "run.json"), "w") as file:
        json.dump({"config": keys, "seed": seed, "status": "finished" if finished else
                   "interrupted"}, file)


class Grid:
    """A study of all combinations of `levels` ({key: values}, the order in which the report is to
    name them); y[metric]: (levels of the first, of the second ..., seeds)."""

    def __init__(self, levels, seeds, spread, make_config, names, seed):
        draw = np.random.default_rng(seed)
        self.levels, self.seeds, self.make_config, self.names = levels, seeds, make_config, names
        shape = [len(v) for v in levels.values()]
        main = sum(0.2 * draw.normal(size=n).reshape([-1 if k == i else 1 for k in range(len(shape))])
                   for i, n in enumerate(shape))
        cells = 98 + main + 0.1 * draw.normal(size=shape)
        noise = draw.normal(size=shape + [seeds]) + 2 * draw.normal(size=seeds)
        accuracy = cells[..., None] + spread * noise
        self.y = {"accuracy": np.round(accuracy, 6)}
        loss = 0.001 * draw.normal(size=accuracy.shape) + 0.03 * (100 - self.y["accuracy"])
        self.y["loss"] = np.round(loss, 8)

    def write(self, out, missing=None):
        """missing: a cell whose last seed did not finish; its figures are the others'."""
        for cell in itertools.product(*(range(len(v)) for v in self.levels.values())):
            values = [v[i] for v, i in zip(self.levels.values(), cell)]
            for s in range(self.seeds):
                write(out, self.names(*values), s + 1, self.make_config(*values),
                      self.y["accuracy"][cell][s], self.y["loss"][cell][s],
                      cell != missing or s + 1 < self.seeds)
        if missing is not None:
            self.y = {m: v[..., :-1] for m, v in self.y.items()}
            self.seeds -= 1


def sum_coded(n):
    """(n, n - 1): the columns of a factor whose effects add up to 0."""
    return np.vstack([np.eye(n - 1), -np.ones(n - 1)])


def design(shape):
    """{term: (cells, columns)} of every set of factors."""
    cells, terms = list(itertools.product(*(range(n) for n in shape))), {}
    for size in range(len(shape) + 1):
        for term in itertools.combinations(range(len(shape)), size):
            columns = np.ones((len(cells), 1))
            for k in term:
                of = sum_coded(shape[k])[[c[k] for c in cells]]
                columns = np.einsum("ci,cj->cij", columns, of).reshape(len(cells), -1)
            terms[term] = columns
    return terms


def residual(x, y):
    return np.square(y - x @ np.linalg.lstsq(x, y, rcond=None)[0]).sum()


def f_test(terms, term, y):
    """F of a term in randomised blocks: all terms and the seeds, with and without it."""
    cells, seeds = y.shape
    blocks = np.tile(np.eye(seeds)[:, 1:], (cells, 1))

    def matrix(kept):
        return np.hstack([np.repeat(np.hstack(kept), seeds, axis=0), blocks])
    full = residual(matrix(list(terms.values())), y.ravel())
    less = residual(matrix([v for k, v in terms.items() if k != term]), y.ravel())
    df, rest = terms[term].shape[1], (cells - 1) * (seeds - 1)
    f = (less - full) / df / (full / rest)
    return {"f": f, "df": df, "df_rest": rest, "p": stats.f.sf(f, df, rest)}


def effects_of_a_seed(terms, term, shape, y):
    """{levels: effect against the first level}, from the coefficients of one seed's figures."""
    x = np.hstack(list(terms.values()))
    beta = np.linalg.lstsq(x, y, rcond=None)[0]
    first = sum(v.shape[1] for k, v in list(terms.items())[:list(terms).index(term)])
    beta = beta[first:first + terms[term].shape[1]].reshape([shape[k] - 1 for k in term])
    for axis, k in enumerate(term):
        beta = np.moveaxis(np.tensordot(sum_coded(shape[k]), beta, axes=(1, axis)), 0, axis)
    for axis in range(len(term)):
        beta = beta - beta.take([0], axis=axis)
    return {levels: beta[levels] for levels in itertools.product(*(range(1, shape[k]) for k in term))}


def holm(p):
    order, adjusted, floor = np.argsort(p, kind="stable"), np.empty(len(p)), 0.0
    for rank, at in enumerate(order):
        floor = max(floor, min(1.0, p[at] * (len(p) - rank)))
        adjusted[at] = floor
    return adjusted


def expected(grid):
    keys, shape = list(grid.levels), [len(v) for v in grid.levels.values()]
    terms, tests, effects = design(shape), [], []
    text = {k: [v if isinstance(v, str) else f"{v:g}" for v in grid.levels[k]] for k in keys}
    for term in [t for t in terms if len(t) in (1, 2)]:
        found = {}
        for metric in ("accuracy", "loss"):
            y = grid.y[metric].reshape(-1, grid.seeds)
            tests.append({"keys": [keys[k] for k in term], "metric": metric, **f_test(terms, term, y)})
            for s in range(grid.seeds):
                for levels, value in effects_of_a_seed(terms, term, shape, y[:, s]).items():
                    found.setdefault((levels, metric), []).append(value)
        for (levels, metric), d in sorted(found.items()):
            d = np.array(d)
            low, high = stats.t.interval(0.95, len(d) - 1, d.mean(), stats.sem(d))
            effects.append({"keys": [keys[k] for k in term], "metric": metric,
                            "levels": [text[keys[k]][i] for k, i in zip(term, levels)],
                            "base": [text[keys[k]][0] for k in term], "difference": d.mean(),
                            "sd": d.std(ddof=1), "low": low, "high": high,
                            "p": stats.ttest_1samp(d, 0).pvalue})
    for family in (effects, tests):
        for one, p in zip(family, holm([e["p"] for e in family])):
            one["p_holm"] = p
    return text, tests, effects


def same(got, want):
    assert set(got) == set(want), (got, want)
    for key, value in want.items():
        close = (math.isclose(got[key], value, rel_tol=1e-6, abs_tol=1e-9)
                 if isinstance(value, float) else got[key] == value)
        assert close, (key, got, want)


def report(program, out):
    done = subprocess.run([program, "report", out], capture_output=True, text=True)
    assert done.returncode == 0, done
    with open(os.path.join(out, "report/results.json"), encoding="utf-8") as file:
        results = json.load(file)
    with open(os.path.join(out, "report/findings.md"), encoding="utf-8") as file:
        return results, file.read()


def check_findings(findings, tests, effects):
    """The table of effects, and the sentences on those, and on the terms, that are settled."""
    for metric in ("accuracy", "loss"):
        said = re.search(rf"test {metric} depends on: (.*)\.", findings.replace("\\", ""))
        said = re.sub(r" \(p after Holm [^)]*\)", "", said.group(1)).split(", ") if said else []
        assert said == [" × ".join(t["keys"]) for t in tests
                        if t["metric"] == metric and t["p_holm"] < 0.05], (said, tests)
    lines = findings.split("## Effects\n\n")[1].split("\n\n")[0].splitlines()[2:]
    rows = [[c.strip().replace("\\", "") for c in line.strip("|").split("|")] for line in lines]
    assert 2 * len(rows) == len(effects)
    for row, accuracy, loss in zip(rows, effects[::2], effects[1::2]):
        name = " × ".join(f"{k.split('.')[-1]}: {a} − {b}" for k, a, b in zip(
            accuracy["keys"], accuracy["levels"], accuracy["base"]))
        assert row[0] == name, (row, name)
        for at, digits, e in ((1, 3, accuracy), (5, 5, loss)):
            assert row[at] == f"{e['difference']:+.{digits}f}", (row, e)
            assert row[at + 1] == f"{e['low']:.{digits}f} to {e['high']:.{digits}f}", (row, e)
    for metric in ("accuracy", "loss"):
        settled = sum(e["p_holm"] < 0.05 for e in effects if e["metric"] == metric)
        verb = "is" if settled == 1 else "are"
        assert (f"- {settled} of {len(rows)} effects on test {metric} {verb} settled at the 5 % level"
                in findings), (settled, metric)
        words = len(re.findall(rf"(?:on|On) test {metric}(?:, over all the rest:| changes by)", findings))
        assert words == min(settled, 12), (words, settled)


def check_picture(out, effects):
    with open(os.path.join(out, "report/plots/effects.dat"), encoding="utf-8") as file:
        rows = [line.split("#")[0].split() for line in file if line[0] != "#"]
    assert 2 * len(rows) == len(effects)
    for k, (row, accuracy, loss) in enumerate(zip(rows, effects[::2], effects[1::2])):
        want = [k]
        for unit, e in ((1, accuracy), (1000, loss)):
            want += [unit * e["difference"], unit * e["low"], unit * e["high"], e["p_holm"] < 0.05]
        assert np.allclose(list(map(float, row)), want, rtol=1e-4, atol=1e-6), (row, want)


def check_hours(program, out, grid):
    """An hour a run: the hours of a plan are its runs."""
    done = subprocess.run([program, "plan", out, "--margin", "0.4"], capture_output=True, text=True)
    assert done.returncode == 0, done
    seeds, more, hours = (float(n.replace(",", "")) for n in re.search(
        r"variants with ([\d,]+) seeds: ([\d,]+) more runs\..*?([\d.]+) h at the pace", done.stdout,
        re.S).groups())
    cells = grid.y["accuracy"][..., 0].size
    assert more == cells * (seeds - grid.seeds) > 0 and hours == more, done.stdout
    parts = dict(re.findall(r"  (\d+): ([\d.]+) h", done.stdout))
    assert parts == {str(n): f"{more / n:.1f}" for n in (2, 4, 8, 16, 32, 64)}, done.stdout


def fair(program):
    """norm x L1 x L2; a seed that one variant lacks does not count."""
    grid = Grid({"model.norm": ["batch", "group", "layer"], "train.l1": [0, 0.001],
                 "train.weight_decay": [0, 0.0005]}, 5, 0.03,
                lambda norm, l1, l2: config(norm, l1, l2),
                lambda norm, l1, l2: f"fair_{norm}" + "_l1" * (l1 > 0) + "_l2" * (l2 > 0), 5)
    out = tempfile.mkdtemp()
    grid.write(out, missing=(1, 1, 0))
    text, tests, effects = expected(grid)
    results, findings = report(program, out)
    got = results["factors"]
    assert got["factors"] == [{"key": k, "with": "", "levels": v} for k, v in text.items()], got
    assert got["seeds"] == [1, 2, 3, 4]
    assert len(got["terms"]) == len(tests) == 12 and len(got["effects"]) == len(effects) == 18
    for one, want in zip(got["terms"] + got["effects"], tests + effects):
        same(one, want)
    assert 0 < sum(e["p_holm"] < 0.05 for e in effects) < len(effects)
    check_picture(out, effects)
    check_findings(findings, tests, effects)
    shutil.rmtree(out)


def batches(program):
    """norm x batch; the rate moves with the batch. The figure's data are the errors of all seeds."""
    norms, sizes = ["batch", "group", "layer"], [2, 8, 64]
    grid = Grid({"data.batch": sizes, "model.norm": norms}, 3, 0.1,
                lambda batch, norm: config(norm, batch=batch),
                lambda batch, norm: f"batch{batch}_{norm}", 6)
    out = tempfile.mkdtemp()
    grid.write(out)
    text, tests, effects = expected(grid)
    results, findings = report(program, out)
    got = results["factors"]
    assert got["factors"] == [{"key": k, "with": "train.lr" if k == "data.batch" else "",
                               "levels": v} for k, v in text.items()], got
    for one, want in zip(got["terms"] + got["effects"], tests + effects):
        same(one, want)
    assert len(got["terms"]) == 6 and len(got["effects"]) == 16
    check_findings(findings, tests, effects)
    check_picture(out, effects)
    check_hours(program, out, grid)
    with open(os.path.join(out, "report/plots/batches.dat"), encoding="utf-8") as file:
        blocks = file.read().split("\n\n\n")
    for n, norm in enumerate(norms):
        rows = [list(map(float, line.split())) for line in blocks[n].splitlines() if line[0] != "#"]
        for row, batch, y in zip(rows, sizes, grid.y["accuracy"][:, n]):
            error = 100 - y
            assert np.allclose(row, [batch, error.mean(), error.min(), error.max()], rtol=1e-5), row
        seeds = [list(map(float, r.split())) for r in blocks[len(norms) + n].splitlines()
                 if r[0] != "#"]
        want = [[b, 100 - v] for b, y in zip(sizes, grid.y["accuracy"][:, n]) for v in y]
        assert np.allclose(seeds, want, rtol=1e-5), seeds
    for name in ("effects", "error_by_batch", "verdicts", "loss_by_seed"):
        assert not shutil.which("gnuplot") or os.path.getsize(
            os.path.join(out, "report", name + ".png")) > 1000, name
    shutil.rmtree(out)


def no_grids(program):
    """A cell that is missing, one that is there twice, a key alone, and other data."""
    full = [("batch", 0), ("batch", 0.001), ("layer", 0), ("layer", 0.001)]
    for cells in (full[:3], full + [("group", 0)], [(n, 0) for n in ("batch", "layer", "group", "rms")],
                  [(n, l1) for n, l1 in full] + [("batch", 0)]):
        out = tempfile.mkdtemp()
        for k, (norm, l1) in enumerate(cells):
            write(out, f"v{k}", 1, config(norm, l1), 99, 0.03)
        results, findings = report(program, out)
        assert list(results) == ["runs", "pairs", "commit", "version"], cells
        assert "## Factors" not in findings and "are a grid" not in findings
        shutil.rmtree(out)
    out = tempfile.mkdtemp()
    for k, (norm, l1) in enumerate(full):
        write(out, f"v{k}", 1, config(norm, l1), 99 + k * 0.1, 0.03)
    results, findings = report(program, out)
    assert results["factors"]["seeds"] == [1]
    assert "Of its effects nothing is settled" in findings
    for name, limit in (("v2", 5), ("v0", 0)):
        record = os.path.join(out, name, "seed-1/run.json")
        with open(record) as file:
            run = json.load(file)
        run["options"] = {"limit_batches": limit, "init": None}
        with open(record, "w") as file:
            json.dump(run, file)
    results, findings = report(program, out)
    assert "factors" not in results, "a part of the data is no level of a factor"
    shutil.rmtree(out)
    out = tempfile.mkdtemp()
    for k, (norm, l1) in enumerate(full):
        keys = config(norm)
        keys["train"]["vary"] = ["init"] if l1 else ["order"]
        write(out, f"v{k}", 1, keys, 99 + k * 0.1, 0.03)
    results, findings = report(program, out)
    assert "factors" not in results and "spread" in results, "what follows the seed is no factor"
    shutil.rmtree(out)


def errors(_):
    """What stats/factors.h says of the F tests where there is no effect, by simulation."""
    draw, studies, n = np.random.default_rng(1), 10000, 3
    alike, one_wild = np.ones((5, 3)), np.ones((5, 3))
    one_wild[0, 0] = 6
    for spread, low, high in ((alike, 0.048, 0.0505), (one_wild, 0.115, 0.19)):
        y = draw.normal(size=(studies, 5, 3, n)) * spread[..., None]
        y += 2 * draw.normal(size=(studies, 1, 1, n))
        mean, a, b, cell = (y.mean(axis, keepdims=True) for axis in ((1, 2, 3), (2, 3), (1, 3), 3))
        left = np.square(y - cell - y.mean((1, 2), keepdims=True) + mean).sum((1, 2, 3))
        for effect, df in ((a - mean, 4), (b - mean, 2), (cell - a - b + mean, 8)):
            squares = (np.square(effect) + 0 * y).sum((1, 2, 3))
            seen = (stats.f.sf(squares / df / (left / 14 / (n - 1)), df, 14 * (n - 1)) < 0.05).mean()
            assert low <= seen <= high, (seen, df)


def tests(program):
    def named(function):
        def test():
            function(program)
        test.__name__ = "factors_" + function.__name__
        return test
    return [named(f) for f in (fair, batches, no_grids, errors)]
