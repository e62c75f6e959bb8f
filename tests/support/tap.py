"""Results of a Python test program in TAP, as Criterion writes them: --tap=FILE, else to standard
output. A test is a function; a failed assertion or any exception is its failure."""
import sys
import traceback


class Tap:
    def __init__(self, suite, argv):
        files = [a[len("--tap="):] for a in argv if a.startswith("--tap=")]
        self.out = open(files[-1], "w") if files else sys.stdout
        self.suite, self.number, self.failed = suite, 0, 0

    def line(self, verdict, name, tail=""):
        self.number += 1
        print(f"{verdict} {self.number} - {self.suite}::{name}{tail}", file=self.out, flush=True)

    def skip(self, name, why):
        self.line("ok", name, f" # SKIP {why}")

    def test(self, function, *args):
        try:
            function(*args)
            self.line("ok", function.__name__)
        except BaseException:
            traceback.print_exc()
            self.line("not ok", function.__name__)
            self.failed += 1

    def end(self):
        print(f"1..{self.number}", file=self.out, flush=True)
        sys.exit(1 if self.failed else 0)
