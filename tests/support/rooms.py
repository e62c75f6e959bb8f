"""rooms.py HOST OBJECTS...: the folders of HOST (src/host) use only those that its file ROOMS allows.

What is read: every #include of a file of HOST, and by nm every symbol that an object (a .o file, or a folder that is
searched for them) uses of another. Prints a line for each arrow that ROOMS does not allow, each folder that it does not
name and each circle of files, and exits with 1 if there is one."""
import os
import re
import subprocess
import sys

host, places = os.path.normpath(sys.argv[1]), sys.argv[2:]
bad = []


def read_rooms():
    """{folder: folders that it may use}; a folder may only use those named before it."""
    rooms = {}
    for number, line in enumerate(open(os.path.join(host, "ROOMS"), encoding="utf-8"), 1):
        line = line.split("#")[0].strip()
        if not line:
            continue
        name, uses = (part.strip() for part in line.split(":"))
        for use in uses.split():
            if use not in rooms:
                bad.append(f"ROOMS:{number}: {name} may not use {use}, which does not stand above it")
        rooms[name] = set(uses.split())
    return rooms


def sources():
    """Every source of HOST, as a path below it."""
    for folder, _, names in os.walk(host):
        for name in names:
            if name.endswith((".c", ".h")):
                yield os.path.relpath(os.path.join(folder, name), host)


def room_of(path):
    return os.path.dirname(path) or "."


def allowed(user, used):
    return user == used or used in rooms.get(user, ())


def check_includes(paths):
    for path in sorted(paths):
        if room_of(path) not in rooms:
            bad.append(f"src/host/{path}: ROOMS does not name its folder")
        for number, line in enumerate(open(os.path.join(host, path), encoding="utf-8"), 1):
            match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not match:
                continue
            name = match.group(1)
            near = os.path.normpath(os.path.join(os.path.dirname(path), name))
            used = near if near in paths else name
            if used in paths and not allowed(room_of(path), room_of(used)):
                bad.append(f"src/host/{path}:{number}: {room_of(path)} may not use {room_of(used)}: {name}")


def objects():
    for place in places:
        if os.path.isfile(place):
            yield place
        for folder, _, names in os.walk(place):
            yield from (os.path.join(folder, n) for n in names if n.endswith(".o"))


def read_symbols(paths):
    """({symbol: the file that defines it}, {file: symbols that it uses})."""
    defined, used = {}, {}
    for path in objects():
        match = re.search(r"src/host/(.+\.c)\.o$", path)
        if not match or match.group(1) not in paths:
            continue
        file = match.group(1)
        listing = subprocess.run(["nm", "-P", path], capture_output=True, text=True, check=True).stdout
        for line in listing.splitlines():
            name, kind = line.split()[:2]
            if kind == "U":
                used.setdefault(file, set()).add(name)
            elif kind in "TDBRCVW":
                defined[name] = file
    return defined, used


def check_calls(paths):
    """Reports what is not allowed; returns {file: {file that it uses: a symbol}}."""
    defined, used = read_symbols(paths)
    if not defined:
        bad.append("no object of src/host was found: nothing was checked")
    arrows = {}
    for file, names in sorted(used.items()):
        for name in sorted(names):
            other = defined.get(name)
            if other is None or other == file:
                continue
            arrows.setdefault(file, {}).setdefault(other, name)
            if not allowed(room_of(file), room_of(other)):
                bad.append(f"src/host/{file}: {room_of(file)} may not use {room_of(other)}: "
                           f"{name} of src/host/{other}")
    return arrows


def check_circles(arrows):
    """A file that reaches itself: the shortest way round, each circle once."""
    seen = set()
    for start in sorted(arrows):
        ways, queue = {start: None}, [start]
        while queue:
            at = queue.pop(0)
            for to in sorted(arrows.get(at, ())):
                if to == start:
                    way = [start]
                    while at is not None:
                        way.append(at)
                        at = ways[at]
                    way.reverse()
                    if frozenset(way) not in seen:
                        bad.append("circle: " + " -> ".join(
                            f"src/host/{a} ({arrows[a][b]})" for a, b in zip(way, way[1:])))
                    seen.add(frozenset(way))
                    queue = []
                    break
                if to not in ways:
                    ways[to] = at
                    queue.append(to)


rooms = read_rooms()
files = set(sources())
check_includes(files)
check_circles(check_calls(files))
print("".join(f"{line}\n" for line in bad), end="")
sys.exit(1 if bad else 0)
