"""Delete from this environment what the image leaves out: the globs of ``deploy/image-prune.txt``.

    python -m scripts.prune_image FILE

For the build of an image only; it knows no way back.
"""

import shutil
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path


def left_out(patterns: Path, site_packages: Path) -> Iterator[Path]:
    """Every file or folder that a pattern names."""
    for line in patterns.read_text().splitlines():
        if line and not line.startswith("#"):
            yield from sorted(site_packages.glob(line))


def main() -> int:
    """Delete; the exit code."""
    for path in left_out(Path(sys.argv[1]), Path(sysconfig.get_path("purelib"))):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)  # it was in a folder that has gone
    return 0


if __name__ == "__main__":
    sys.exit(main())
