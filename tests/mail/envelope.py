"""The mail as a message: strictly read, of the structure that mail programs expect, its pictures found and whole.

What it reads it also unpacks: the HTML as it stands in the mail, and the same with its pictures beside it as files.
"""

import email
import email.errors
import email.policy
import html
import html.parser
import re
import struct
import zlib

STRICT = email.policy.SMTP.clone(raise_on_defect=True)

#: RFC 5322, 2.1.1.
LONGEST_LINE = 998

#: What tells other programs that a program wrote this, and readers' filters which list it belongs to.
HEADERS = ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "List-Id", "Auto-Submitted", "X-Auto-Response-Suppress")

TAG = re.compile(r"<img\b(?:[^>\"']|\"[^\"]*\"|'[^']*')*>", re.I)
ATTRIBUTE = re.compile(r"([a-z-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')", re.I)


def check(mails, as_sent, as_shown):
    complaints, checked = [], []
    for path in mails:
        mail = path.stem

        def complain(rule, place, words, mail=mail):
            complaints.append({"mail": mail, "checker": "mime", "rule": rule, "place": place, "words": words})

        raw = path.read_bytes()
        lines(raw, complain)
        try:
            message = email.message_from_bytes(raw, policy=STRICT)
            one(message, complain, (as_sent / f"{mail}.html", as_shown, mail))
        except (email.errors.MessageError, LookupError, ValueError) as error:
            complain("defect", "", f"{type(error).__name__}: {error}")
        checked.append(mail)
    return {"checked": {"mime": checked}, "complaints": complaints}


def lines(raw, complain):
    for number, line in enumerate(raw.split(b"\r\n"), 1):
        if len(line) > LONGEST_LINE:
            complain("line-length", f"line {number}", f"{len(line)} bytes, at most {LONGEST_LINE} are allowed")
        if b"\n" in line or b"\r" in line:
            complain("line-end", f"line {number}", "a line ends with CR LF, and with nothing else")
        if not line.isascii() or b"\0" in line:
            complain("line-bytes", f"line {number}", "a message is ASCII; what is not must be encoded")


def one(message, complain, targets):
    as_sent, as_shown, mail = targets
    for part in message.walk():
        for defect in part.defects:
            complain("defect", part.get_content_type(), repr(defect))
        for name, value in part.items():
            for defect in getattr(value, "defects", ()):
                complain("defect", f"{part.get_content_type()}, {name}", repr(defect))
    for name in HEADERS:
        found = message.get_all(name, [])
        if len(found) != 1 or not str(found[0]).strip():
            complain("header", name, f"there are {len(found)} of it")
    subject = str(message["Subject"] or "")
    if any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in subject):
        complain("header", "Subject", f"a control character stands in {subject!r}")
    parts = structure(message, complain)
    if parts is None:
        return
    text, page, pictures = parts
    words = page.get_content()
    if not text.get_content().strip():
        complain("structure", "text/plain", "is empty: it carries the same decision and numbers as the HTML")
    same_numbers(words, text.get_content(), complain)
    as_sent.write_text(words)
    shown = pictured(words, pictures, complain, as_shown, mail)
    (as_shown / f"{mail}.html").write_text(shown)


class Visible(html.parser.HTMLParser):
    """The text that a page shows."""

    def __init__(self):
        super().__init__()
        self.hidden, self.text = 0, []

    def handle_starttag(self, tag, attributes):
        self.hidden += tag in ("head", "style", "script", "title")

    def handle_endtag(self, tag):
        self.hidden -= tag in ("head", "style", "script", "title")

    def handle_data(self, data):
        if not self.hidden:
            self.text.append(data)


#: A number with its sign, its decimals and its thousands; a time or a date is several.
NUMBER = re.compile(r"[+\N{MINUS SIGN}-]?[0-9]+(?:[.,][0-9]+)*")


def same_numbers(page, text, complain):
    """Whoever reads the text alone must learn the same."""
    reader = Visible()
    reader.feed(page)
    there = set(NUMBER.findall(text))
    missing = [number for number in dict.fromkeys(NUMBER.findall(" ".join(reader.text))) if number not in there]
    if missing:
        words = f"{len(missing)} numbers of the HTML are not in the text: {', '.join(missing[:12])}"
        complain("text-differs", "text/plain", words)


def structure(message, complain):
    """Text, HTML and pictures, if they lie in each other as they should."""

    def kinds(part):
        return [inner.get_content_type() for inner in part.iter_parts()]

    def wrong(part, wanted):
        found = kinds(part) if part.is_multipart() else []
        complain("structure", part.get_content_type(), f"holds {found}, expected {wanted}")

    body = message
    if body.get_content_type() == "multipart/mixed":
        inner = list(body.iter_parts())
        if not inner or any(not part.is_attachment() for part in inner[1:]):
            return wrong(body, "the alternatives and then attachments")
        body = inner[0]
    if body.get_content_type() != "multipart/alternative" or len(kinds(body)) != 2:
        return wrong(body, "multipart/alternative of text and HTML, the text first")
    text, page = body.iter_parts()
    if text.get_content_type() != "text/plain":
        return wrong(body, "text/plain first")
    pictures = []
    if page.get_content_type() == "multipart/related":
        if kinds(page)[:1] != ["text/html"] or page.get_param("type") != "text/html":
            return wrong(page, "text/html first, and named as its type")
        page, *pictures = page.iter_parts()
    if page.get_content_type() != "text/html":
        return wrong(body, "text/html at last")
    return text, page, pictures


def pictured(words, parts, complain, folder, mail):
    """The HTML with its pictures' files. Each `cid:` must have one part, and each part be shown."""
    known = {}
    for part in parts:
        name = str(part["Content-ID"] or "").strip().removeprefix("<").removesuffix(">")
        if not name or name in known:
            complain("picture", name, "a picture needs a Content-ID of its own")
        if part.get_content_type() != "image/png" or part.get_content_disposition() != "inline":
            complain("picture", name, f"is {part.get_content_type()}, {part.get_content_disposition()}; expected an inline image/png")
        known[name] = part.get_payload(decode=True)
    shown = set()

    def replaced(match):
        tag = match[0]
        attributes = {key.lower(): html.unescape(a or b) for key, a, b in ATTRIBUTE.findall(tag)}
        source = attributes.get("src", "")
        if not source.startswith("cid:"):
            return tag
        name = source.removeprefix("cid:")
        if name not in known:
            complain("picture", name, "the HTML shows it, and no part has that Content-ID")
            return tag
        if name not in shown:
            size(name, known[name], attributes, complain)
        shown.add(name)
        file = f"{mail}.{len(shown)}.{zlib.crc32(name.encode()):08x}.png"
        (folder / file).write_bytes(known[name])
        # By the attribute's own text, which may be escaped.
        return re.sub(r"(src\s*=\s*)(\"[^\"]*\"|'[^']*')", rf'\1"{file}"', tag, count=1, flags=re.I)

    result = TAG.sub(replaced, words)
    for name in known.keys() - shown:
        complain("picture", name, "is sent along and shown nowhere; mail programs then list it as an attachment")
    return result


def size(name, png, attributes, complain):
    """A picture has two pixels each way for every one that it is shown at."""
    if png[:8] != b"\x89PNG\r\n\x1a\n" or png[12:16] != b"IHDR":
        complain("picture", name, "is no PNG")
        return
    pixels = struct.unpack(">II", png[16:24])
    for axis, found in zip(("width", "height"), pixels):
        told = attributes.get(axis, "")
        if found % 2 or not told.isdecimal() or found != 2 * int(told):
            complain("picture-size", name, f"has a {axis} of {found} pixels and is shown at {told or 'no'} px; it takes twice as many")
