"""Puts members of a source archive on PyPI into a folder: FOLDER PROJECT FILE SHA-256 PATTERN.

A member is taken where the pattern is found in its path, under the name that a group of the pattern matches.
"""

import hashlib
import json
import pathlib
import re
import shutil
import sys
import tarfile
import tempfile
import urllib.request


def main():
    to, project, name, digest, members = sys.argv[1:]
    ask = urllib.request.Request(
        f"https://pypi.org/simple/{project}/", headers={"Accept": "application/vnd.pypi.simple.v1+json"}
    )
    with urllib.request.urlopen(ask) as answer:
        url = next((file["url"] for file in json.load(answer)["files"] if file["filename"] == name), None)
    if url is None:
        sys.exit(f"PyPI has no {name}")
    with tempfile.TemporaryFile() as file:
        with urllib.request.urlopen(url) as answer:
            shutil.copyfileobj(answer, file)
        file.seek(0)
        found = hashlib.sha256(file.read()).hexdigest()
        if found != digest:
            sys.exit(f"{name} is not the file it was: expected {digest}, got {found}")
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r:gz") as tar:
            for member in tar:
                match = re.search(members, member.name)
                if match and member.isfile():
                    path = pathlib.Path(to, next(filter(None, match.groups())))
                    path.write_bytes(tar.extractfile(member).read())


main()
