"""Checks every mail of a folder, each program being started once for all of them.

    check.py FOLDER [--only CHECKERS] [--keep PAGES]

FOLDER holds `*.eml`; what they show is left in the folder PAGES, for `shot.mjs`. Prints one JSON object and ends with 0, whatever is found:

    {"checked": {"mime": ["<mail>", …], "html-validate": […], "caniemail": […], "rules": […], "axe": […], "overflow": […],
                 "pictures": […], "spam": […]},
     "complaints": [{"mail": …, "checker": …, "rule": …, "place": …, "words": …}, …]}

A mail that a checker did not look at is missing from its list, so nobody takes silence for praise. A checker that cannot run
ends this program with another code and its words on standard error.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import envelope
import spam

HERE = pathlib.Path(__file__).parent
GROUPS = ("mime", "markup", "looks", "spam")


def node(script, folder):
    """What a script of this folder found in a folder of pages."""
    found = subprocess.run(
        [os.environ.get("RAMPKEEPER_TEST_NODE_BIN", "node"), str(HERE / script), str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        timeout=600,
    )
    if found.returncode != 0:
        sys.exit(f"{script} ended with {found.returncode}")
    return json.loads(found.stdout)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--only", default=",".join(GROUPS), help=f"some of {', '.join(GROUPS)}")
    parser.add_argument("--keep", type=pathlib.Path, help="leave each mail's HTML there, with its pictures as files")
    arguments = parser.parse_args()
    wanted = [group for group in arguments.only.split(",") if group]
    if unknown := set(wanted) - set(GROUPS):
        parser.error(f"no such checkers: {', '.join(sorted(unknown))}")
    mails = sorted(arguments.folder.glob("*.eml"))
    if not mails:
        sys.exit(f"{arguments.folder}: there is no .eml in it")
    answers = []
    with tempfile.TemporaryDirectory(prefix="rampkeeper-mails-") as scratch:
        as_sent, as_shown = pathlib.Path(scratch, "sent"), pathlib.Path(scratch, "shown")
        as_sent.mkdir()
        if arguments.keep:
            as_shown = arguments.keep
        as_shown.mkdir(parents=True, exist_ok=True)
        answer = envelope.check(mails, as_sent, as_shown)
        if "mime" in wanted:
            answers.append(answer)
        if "markup" in wanted:
            answers.append(node("markup.mjs", as_sent))
        if "looks" in wanted:
            answers.append(node("looks.mjs", as_shown))
        if "spam" in wanted:
            answers.append(spam.check(mails, pathlib.Path(scratch)))
    checked = {name: list_of for answer in answers for name, list_of in answer["checked"].items()}
    complaints = [complaint for answer in answers for complaint in answer["complaints"]]
    print(json.dumps({"checked": checked, "complaints": complaints}))


if __name__ == "__main__":
    main()
