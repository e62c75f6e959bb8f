#!/usr/bin/python3
"""test_workbook.py PROGRAM [--tap=FILE]: reads what `normlab worksheet` writes. The statistics must
be the published ones to the last digit, and after LibreOffice has computed every formula anew (the
stored values taken out first) each cell must hold what the program had stored."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "support"))
from tap import Tap  # noqa: E402

try:
    import openpyxl
except ImportError:
    openpyxl = None

MEANS = {
    "BN": [0.375, -0.0625, -1.0625, 0.5],
    "LN": [0.3125, -1.0625, 0.25, 0.25],
    "GN": [0.875, -0.25, -0.25, -1.875, 0.375, 0.125, -0.375, 0.875],
}
VARIANCES = {
    "BN": [6.484375, 10.68359375, 6.55859375, 8.875],
    "LN": [8.46484375, 8.43359375, 8.8125, 7.0625],
    "GN": [8.859375, 7.4375, 11.1875, 4.359375, 6.984375, 10.609375, 6.484375, 6.859375],
}
IMAGES = [  # [image][channel]: row by row
    [[3, 3, 1, 3], [-2, -2, 5, -4], [0, 0, -3, -3], [3, -2, -2, 5]],
    [[-2, -2, 0, -4], [4, -5, 4, 3], [1, -4, -2, -3], [-4, 1, -4, 0]],
    [[-1, 2, 3, 1], [0, -1, -5, 4], [-3, -3, -3, 2], [2, -3, 4, 5]],
    [[-1, 3, 2, -5], [0, -3, -1, 2], [-1, -3, 3, 5], [3, -2, 2, 0]],
]
NAMES = ["Input", "BN", "LN", "GN", "BN gradient", "LN gradient", "GN gradient", "Counts"]
program, folder = sys.argv[1], tempfile.mkdtemp()
path = os.path.join(folder, "x.xlsx")


def write():
    subprocess.run([program, "worksheet", path], check=True)
    assert os.listdir(folder) == ["x.xlsx"]


def twice_the_same_file():
    other = os.path.join(folder, "y.xlsx")
    subprocess.run([program, "worksheet", other], check=True)
    assert open(path, "rb").read() == open(other, "rb").read()


def verified_values():
    book = openpyxl.load_workbook(path, data_only=True)
    assert book.sheetnames == NAMES, book.sheetnames
    for sheet in MEANS:
        for i, (mean, variance) in enumerate(zip(MEANS[sheet], VARIANCES[sheet])):
            row = 6 + i
            assert book[sheet].cell(row, 13).value == mean, (sheet, i)
            assert book[sheet].cell(row, 14).value == variance, (sheet, i)
        assert book[sheet].cell(6 + len(MEANS[sheet]), 13).value is None


def verified_tensor():
    sheet = openpyxl.load_workbook(path, data_only=True)["Input"]
    for n, image in enumerate(IMAGES):
        for c, channel in enumerate(image):
            got = [sheet.cell(6 + 2 * n + p // 2, 2 + 2 * c + p % 2).value for p in range(4)]
            assert got == channel, (n, c, got)


def formulas_are_live():
    book = openpyxl.load_workbook(path)
    count = 0
    for sheet in book:
        for row in sheet.iter_rows():
            count += sum(isinstance(cell.value, str) and cell.value.startswith("=") for cell in row)
    assert count > 1800, count
    assert book["BN"]["N6"].value == "=_xlfn.VAR.P($B$6:$C$13)", book["BN"]["N6"].value
    assert book["LN"]["M6"].value == "=AVERAGE($B$6:$I$7)"
    assert book["GN"]["M7"].value == "=AVERAGE($F$6:$I$7)"
    # What is normalised is a difference from the mean times 1 / sqrt(var + eps).
    assert book["BN"]["B17"].value == "=(B6-$M$6)*$O$6", book["BN"]["B17"].value


def checks_hold():
    book = openpyxl.load_workbook(path, data_only=True)
    words = [c.value for s in book for r in s.iter_rows() for c in r if c.value in ("yes", "NO")]
    assert len(words) == 80 and set(words) == {"yes"}, len(words)


def without_values(source, target):
    """A copy in which no formula has a stored value."""
    taken = 0
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            text = old.read(name)
            if name.startswith("xl/worksheets/"):
                text, n = re.subn(rb"(</f>)<v>[^<]*</v>", rb"\1", text)
                taken += n
            new.writestr(name, text)
    assert taken > 1800, taken


def libreoffice_agrees():
    bare, out = os.path.join(folder, "bare.xlsx"), os.path.join(folder, "out")
    without_values(path, bare)
    subprocess.run(
        ["soffice", "--headless", f"-env:UserInstallation=file://{folder}/profile",
         "--convert-to", "xlsx:Calc MS Excel 2007 XML", "--outdir", out, bare],
        check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=240)
    ours = openpyxl.load_workbook(path, data_only=True)
    theirs = openpyxl.load_workbook(os.path.join(out, "bare.xlsx"), data_only=True)
    compared = 0
    for sheet in ours:
        for row in sheet.iter_rows():
            for cell in row:
                other = theirs[sheet.title][cell.coordinate].value
                where = (sheet.title, cell.coordinate, cell.value, other)
                if isinstance(cell.value, (int, float)):
                    assert isinstance(other, (int, float)), where
                    assert abs(cell.value - other) <= 1e-12 * max(1, abs(cell.value)), where
                    compared += 1
                else:
                    assert (cell.value or "") == (other or ""), where
    assert compared > 2000, compared


def unwritable():
    done = subprocess.run([program, "worksheet", os.path.join(folder, "no/x.xlsx")],
                          stderr=subprocess.PIPE, text=True)
    assert done.returncode == 6 and "no/x.xlsx" in done.stderr, done
    assert re.fullmatch(r"normlab: .*\n(         hint: .*\n)?", done.stderr), done.stderr
    assert subprocess.run([program, "worksheet"], stderr=subprocess.PIPE).returncode == 2


tap = Tap("workbook", sys.argv)
tap.test(write)
tap.test(twice_the_same_file)
tap.test(unwritable)
tests = [verified_values, verified_tensor, formulas_are_live, checks_hold, libreoffice_agrees]
for test in tests:
    if not openpyxl:
        tap.skip(test.__name__, "python3-openpyxl is not installed")
    elif test is libreoffice_agrees and not shutil.which("soffice"):
        tap.skip(test.__name__, "soffice is not installed")
    else:
        tap.test(test)
shutil.rmtree(folder)
tap.end()
