"""Fail when a page of the built site would make a browser load anything from another host."""

import re
import sys
from pathlib import Path

#: What a browser fetches by itself; links that a reader follows (`<a>`) are none of it.
_LOADS = re.compile(
    r"<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\ssrc=[\"']?(?:https?:)?//[^\s\"'>]+"
    r"|<link\b(?=[^>]*\srel=[\"']?(?:stylesheet|preconnect|preload|icon|dns-prefetch))"
    r"[^>]*\shref=[\"']?(?:https?:)?//[^\s\"'>]+"
    r"|class=[\"']?mermaid\b",
)
_IMPORTS = re.compile(r"(?:@import|url\()\s*[\"'(]*(?:https?:)?//[^\s\"')]+")


def loads_from_elsewhere(site: Path) -> list[str]:
    """``file: what`` of each; a drawn Mermaid diagram counts, its script comes from a CDN."""
    return [
        f"{path.relative_to(site)}: {found[0][:200]}"
        for pattern, ending in ((_LOADS, "*.html"), (_IMPORTS, "*.css"))
        for path in sorted(site.rglob(ending))
        for found in pattern.finditer(path.read_text())
    ]


if __name__ == "__main__":
    elsewhere = loads_from_elsewhere(Path(sys.argv[1]))
    sys.exit("\n".join(elsewhere) if elsewhere else 0)
