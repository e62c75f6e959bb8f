"""A program whose training steps are timed: started, asked for turns, stopped."""
import json
import os
import subprocess
import tempfile
import threading

LIMIT = 900  # seconds for a start or a turn
MODES = {"nchw": "eager", "nhwc": "eager, channels last", "compiled": "compiled",
         "compiled-nhwc": "compiled, channels last", "graph": "CUDA graph",
         "compile": "compiled, CUDA graph", "jit": "jit",
         "unfold": "jit, products of matrices", "avx2": "AVX2"}
PLAIN_MODES = ("cpu", "cuda")  # of normlab: as it chooses by itself


def name_of(program, mode, threads=0):
    words = [program] if mode in PLAIN_MODES else [program, MODES.get(mode, mode)]
    if threads:
        words.append(f"{threads} thread{'s' if threads > 1 else ''}")
    return ", ".join(words)


class Failed(Exception):
    """There are no figures; the text says why."""


class Contender:
    """One program in one mode on so many threads (0: a GPU). One that stays keeps its process from
    turn to turn; it has to follow files.turns."""

    def __init__(self, command, program, mode, threads, stays=False, env=None):
        self.env = {**os.environ, **(env or {})}
        self.command, self.program, self.mode, self.threads = command, program, mode, threads
        self.stays, self.options, self.process = stays, (), None
        self.errors = tempfile.TemporaryFile()

    def __str__(self):
        return name_of(self.program, self.mode, self.threads)

    def run(self, *options, **env):
        """The lines of a call with these options, and so much more in its environment."""
        self._open(*options, **env)
        return self._lines()

    def start(self, *options):
        """Gets ready for turns with these options."""
        self.options = options
        if self.stays:
            self._open(*options, turns=True)
            self._lines()

    def turn(self):
        """The lines of one turn."""
        if not self.stays:
            return self.run(*self.options)
        try:
            self.process.stdin.write(b"\n")
            self.process.stdin.flush()
        except OSError:
            pass  # it has ended, which the answer tells
        return self._lines()

    def stop(self):
        """Ends its process, if there is one."""
        if not self.process:
            return
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def _open(self, *options, turns=False, **env):
        self.stop()
        self.errors.truncate(0)
        command = [*self.command, *(("--turns",) if turns else ()), *options]
        try:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.errors,
                                            env={**self.env, **env},
                                            stdin=subprocess.PIPE if turns else subprocess.DEVNULL)
        except OSError as error:
            raise Failed(str(error)) from error

    def _lines(self):
        """Up to an empty line, which ends a turn, or to the end of the program."""
        clock = threading.Timer(LIMIT, self.process.kill)
        clock.start()
        lines = []
        try:
            for line in self.process.stdout:
                if not line.strip():
                    return lines
                lines.append(json.loads(line))
        except ValueError as error:
            raise Failed(f"no JSON: {error}") from error
        finally:
            clock.cancel()
        if self.process.wait() != 0 or self.process.stdin:  # which is there for turns alone
            raise self._failed()
        return lines

    def _failed(self):
        self.errors.seek(0)
        said = self.errors.read().decode(errors="replace").split("\n")
        last = next((line for line in reversed(said) if line.strip()), "")
        return Failed(f"failed: exit {self.process.wait()}: {last[:200]}")
