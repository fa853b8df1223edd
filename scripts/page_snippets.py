"""Puts the TypeScript of the pages where the compiler finds it: `make check` calls it.

    python -m scripts.page_snippets FOLDER

Each block becomes a module of its own, named by its page and line. What whoever copies it has in
its place, `clients/typescript/snippets.d.ts` declares.
"""

import re
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = (
    "README.md",
    "docs/howto.md",
    "docs/tutorial.md",
    "docs/design.md",
    "clients/typescript/README.md",
)
_BLOCK = re.compile(r"^```typescript\n(.*?)^```", re.MULTILINE | re.DOTALL)


def modules() -> dict[str, str]:
    """The modules' texts, by their names. Lines stand where they stand in the page."""
    found: dict[str, str] = {}
    for page in PAGES:
        text = (ROOT / page).read_text("utf-8")
        for block in _BLOCK.finditer(text):
            line = text.count("\n", 0, block.start(1)) + 1
            name = f"{page.removesuffix('.md').replace('/', '_')}_{line}.ts"
            found[name] = f"{block[1]}export {{}};\n"
    return found


def main() -> int:
    match sys.argv[1:]:
        case [folder]:
            shutil.rmtree(folder, ignore_errors=True)
            Path(folder).mkdir(parents=True)
            for name, text in modules().items():
                (Path(folder) / name).write_text(text, "utf-8")
            return 0
        case _:
            print("page_snippets: name the folder to put them into", file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main())
