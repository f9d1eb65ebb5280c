"""Print the sizes of wheels and of their compiled code; exit with 1 if one is too large.

    python -m pip wheel --no-deps -w wheelhouse . && python scripts/release/wheel_sizes.py wheelhouse

A wheel with a bundled library (a folder .libs or .dylibs) is an error too.
"""

import argparse
import zipfile
from pathlib import Path

LIMITS = {"wheel": 14e6, "compiled code": 1.5e6}
COMPILED = (".so", ".pyd", ".dylib", ".dll")


def sizes(wheel: Path) -> dict[str, int]:
    """Return the size of a wheel and of its unpacked compiled modules, in bytes."""
    with zipfile.ZipFile(wheel) as content:
        files = content.infolist()
    vendored = [file.filename for file in files if ".libs/" in file.filename or ".dylibs/" in file.filename]
    if vendored:
        raise SystemExit(f"wheel_sizes: {wheel.name} must bundle no library; got {', '.join(vendored)}")
    compiled = sum(file.file_size for file in files if file.filename.endswith(COMPILED))
    return {"wheel": wheel.stat().st_size, "compiled code": compiled}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="the folder of the wheels")
    wheels = sorted(parser.parse_args().folder.glob("*.whl"))
    if not wheels:
        raise SystemExit("wheel_sizes: the folder must contain wheels; got none")
    for wheel in wheels:
        found = sizes(wheel)
        print(f"{wheel.name}: {', '.join(f'{what} {size / 1e6:.2f} MB' for what, size in found.items())}")
        for what, size in found.items():
            if size > LIMITS[what]:
                raise SystemExit(
                    f"wheel_sizes: {what} must be at most {LIMITS[what] / 1e6} MB; got {size / 1e6:.2f}"
                )


if __name__ == "__main__":
    main()
