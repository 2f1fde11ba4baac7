"""SpamAssassin's own rules, without network and without what it may have learnt here."""

import mailbox
import pathlib
import re
import subprocess
import sys

#: By this header a mail is known again: they come back in the order of their dates.
NAME = "X-Checked-Mail"

#: A mail of this score or more is too near to the 5 at which receivers begin to sort out.
LIMIT = 2.0

STATUS = re.compile(r"score=(-?[0-9.]+)")
#: A line of the report: points, rule, what it says.
POINT = re.compile(r"^\s*(-?[0-9]+(?:\.[0-9]+)?)\s+([A-Z][A-Z0-9_]+)\s+(.*)$")


def check(mails, scratch):
    box = mailbox.mbox(scratch / "mails.mbox")
    for path in mails:
        box.add(f"{NAME}: {path.stem}\r\n".encode() + path.read_bytes())
    box.close()
    command = ["spamassassin", "-L", "-x", "-t", "--cf=use_bayes 0", "--cf=report_safe 0", "--mbox", str(scratch / "mails.mbox")]
    judged = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=600)
    if judged.returncode != 0:
        sys.exit(f"spamassassin ended with {judged.returncode}: {judged.stderr.decode(errors='replace')}")
    answer = pathlib.Path(scratch, "judged.mbox")
    answer.write_bytes(judged.stdout)
    checked, complaints = [], []
    for message in mailbox.mbox(answer):
        mail = str(message[NAME])
        score = STATUS.search(str(message["X-Spam-Status"] or ""))
        if score is None:
            sys.exit(f"spamassassin said nothing of {mail}")
        checked.append(mail)
        if float(score[1]) < LIMIT:
            continue
        # With -t the report follows the mail, and may stand there twice.
        found = (POINT.match(line) for line in message.as_string().splitlines())
        points = dict.fromkeys(one.groups() for one in found if one and float(one[1]) > 0)
        for points_of, rule, words in points or [(score[1], "score", "the report names no rule")]:
            words = f"{words.strip()} ({points_of} points of {score[1]}; below {LIMIT} is allowed)"
            complaints.append({"mail": mail, "checker": "spam", "rule": rule, "place": "", "words": words})
    return {"checked": {"spam": checked}, "complaints": complaints}
