"""Let the README's links and pictures work outside the repository: PyPI shows it without the files beside it.

`python .github/absolute_links.py README.md` rewrites a file before sdist and wheels are built. The address is the one
that the workflow runs at, so nothing in the repository has to name it.
"""

import os
import re
import sys
from pathlib import Path


def absolute(text: str, repository: str, revision: str) -> str:
    """Return the Markdown with relative links made absolute.

    Args:
        text: Markdown.
        repository: Its address, without a slash at the end.
        revision: A commit or tag, so that links show the files as they were when this text was written.
    """

    def link(found: re.Match[str]) -> str:
        mark, label, target = found.groups()
        # Of a picture the file itself is wanted, not the page that shows it.
        return f"{mark}[{label}]({repository}/{'raw' if mark else 'blob'}/{revision}/{target})"

    return re.sub(r"(!?)\[([^\]]*)\]\((?![a-z]+:|#)([^)\s]+)\)", link, text)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    address = f"{os.environ['GITHUB_SERVER_URL']}/{os.environ['GITHUB_REPOSITORY']}"
    made = absolute(path.read_text(encoding="utf-8"), address, os.environ["GITHUB_SHA"])
    path.write_text(made, encoding="utf-8", newline="\n")
