// The HTML of mails as text: whether it is correct, whether mail programs show it, and whether it keeps this project's rules.
//
//     node markup.mjs FOLDER        FOLDER/<mail>.html, as it stands in the mail
//
// Prints one JSON object: {"checked": {"html-validate": ["<mail>", …], …}, "complaints": [{mail, checker, rule, place, words}, …]}.

import fs from "node:fs";
import path from "node:path";

import { load } from "./checkers.mjs";

const { HtmlValidate } = await load("html-validate");
const { caniemail } = await load("caniemail");

/// The programs that must show a mail as it is meant. Left out are two that are no more: Windows Mail and the site of Gmail
/// for phones.
const CLIENTS = [
    "gmail.desktop-webmail",
    "gmail.ios",
    "gmail.android",
    "outlook.windows",
    "outlook.macos",
    "outlook.ios",
    "outlook.android",
    "apple-mail.macos",
    "apple-mail.ios",
];

/// What a program may ignore without harm: a mail says the same without it.
const MAY_BE_IGNORED = new Map([
    ["@media", "the layout is fluid without it; it only refines"],
    ["<body> element", "its styles stand at the outermost element as well"],
    ["color-scheme meta tag", "without it a mail is light, and its colours bear being turned by the program"],
    ["<bdi> element", "an unknown element is shown as its text; only the order of names beside each other may differ"],
    ["table-layout", "columns are then as wide as what is in them, which fits a desk, and only Outlook for Windows ignores it"],
    ["max-height property", "it belongs to the hidden preheader, which display:none hides as well"],
    ["overflow", "as max-height"],
]);

/// What a mail's HTML may weigh; from about 102 kB on Gmail cuts it.
const MOST_BYTES = 80_000;

const validator = new HtmlValidate({
    extends: ["html-validate:recommended", "html-validate:a11y"],
    rules: {
        // Programs that drop <style> need styles at the elements,
        "no-inline-style": "off",
        // and Outlook for Windows needs attributes that browsers gave up, and comments that only it reads.
        "no-deprecated-attr": "off",
        "no-conditional-comment": "off",
        // Tables that only lay out are not what these rules are for.
        "prefer-native-element": "off",
        "prefer-tbody": "off",
        // No mail program shows the title.
        "long-title": "off",
    },
});

const checked = { "html-validate": [], caniemail: [], rules: [] };
const complaints = [];

for (const file of fs.readdirSync(process.argv[2]).filter((name) => name.endsWith(".html")).sort()) {
    const mail = path.basename(file, ".html");
    const html = fs.readFileSync(path.join(process.argv[2], file), "utf8");
    const complain = (checker) => (rule, place, words) => complaints.push({ mail, checker, rule, place, words });
    await correct(html, complain("html-validate"));
    checked["html-validate"].push(mail);
    supported(html, complain("caniemail"));
    checked.caniemail.push(mail);
    ruled(html, complain("rules"));
    checked.rules.push(mail);
}
console.log(JSON.stringify({ checked, complaints }));

async function correct(html, complain) {
    const report = await validator.validateString(html);
    for (const result of report.results) {
        for (const found of result.messages) {
            complain(found.ruleId, `${found.line}:${found.column}`, found.message + at(html, found.line));
        }
    }
}

function supported(html, complain) {
    // A <style> with no rule for a screen, or a mail without any feature that the data know, gives no issues at all.
    const { issues } = caniemail({ clients: CLIENTS, html });
    for (const [client, found] of issues.errors) {
        for (const issue of found.filter((one) => !MAY_BE_IGNORED.has(one.title))) {
            const start = issue.position?.start;
            const place = start ? `${start.line}:${start.column}` : "";
            complain(issue.title, place, `${client} does not know it${at(html, start?.line)}`);
        }
    }
}

/// What the data of caniemail do not know, or do not notice.
function ruled(html, complain) {
    const bytes = Buffer.byteLength(html);
    if (bytes > MOST_BYTES) complain("weight", "", `${bytes} bytes of HTML, at most ${MOST_BYTES} are allowed`);
    // Conditional comments are read by Outlook, so what stands in them counts as well.
    const bare = html.replaceAll(/<!--\[if[^\]]*\]>|<!\[endif\]-->/g, " ");
    for (const tag of bare.matchAll(/<([a-z][a-z0-9:]*)\b([^>"']*(?:"[^"]*"|'[^']*'|[^>"'])*)>/gi)) {
        const name = tag[1].toLowerCase();
        const place = () => where(bare, tag.index);
        const attributes = new Map();
        for (const [, key, double, single, plain] of tag[2].matchAll(/([a-z-]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?/gi)) {
            attributes.set(key.toLowerCase(), double ?? single ?? plain ?? "");
        }
        if (["svg", "script", "iframe", "object", "embed", "form", "input", "video", "audio", "link", "base", "picture"].includes(name)) {
            complain("element", place(), `<${name}> does not belong into a mail`);
        }
        for (const [key, value] of attributes) {
            if (key.startsWith("on")) complain("handler", place(), `${key} would run a script`);
            if (/^(src|href|background|action)$/.test(key)) address(name, key, value, place, complain);
        }
        if (name === "img") {
            for (const size of ["width", "height"]) {
                if (!/^[1-9][0-9]*$/.test(attributes.get(size) ?? "")) {
                    complain("picture-size", place(), `an <img> needs ${size} as an attribute in whole pixels; Outlook knows no other`);
                }
            }
            if (!attributes.has("alt")) complain("picture-words", place(), "an <img> needs alt");
        }
        for (const word of styled(attributes.get("style") ?? "")) complain("style", place(), `a style must not use ${word}`);
    }
    for (const sheet of bare.matchAll(/<style[^>]*>([\s\S]*?)<\/style>/gi)) {
        for (const word of styled(sheet[1])) complain("style", where(bare, sheet.index), `a style must not use ${word}`);
    }
    if (!/<html[^>]*\slang="[a-z]/i.test(html)) complain("language", "1:1", "<html> needs lang");
    if (!/<(div|table|td|main)[^>]*\srole="article"[^>]*\slang="|<(div|table|td|main)[^>]*\slang="[^>]*\srole="article"/i.test(html)) {
        complain("language", "1:1", 'the outermost element needs role="article" and lang: webmail drops <html> and <body>');
    }
}

/// What in a style loads something, or is known by few programs and not noticed by caniemail.
function styled(style) {
    return ["url(", "@import", "@font-face", "var(", "expression("].filter((word) => style.replaceAll(/\s+\(/g, "(").includes(word));
}

function address(element, key, value, place, complain) {
    const kind = /^([a-z][a-z0-9+.-]*):/i.exec(value.trim())?.[1]?.toLowerCase();
    if (key !== "href") {
        if (kind !== "cid") complain("address", place(), `${element} ${key}="${value.slice(0, 60)}": pictures come by cid: only`);
    } else if (!["https", "http", "mailto"].includes(kind) && !value.startsWith("#")) {
        complain("address", place(), `${element} ${key}="${value.slice(0, 60)}": a link is https:, http:, mailto: or #`);
    }
}

function where(text, index) {
    const before = text.slice(0, index).split("\n");
    return `${before.length}:${before.at(-1).length + 1}`;
}

/// The line, for a reader who has no line numbers at hand.
function at(html, line) {
    const text = html.split("\n")[(line ?? 0) - 1]?.trim() ?? "";
    return text ? ` in \`${text.length > 160 ? `${text.slice(0, 160)}…` : text}\`` : "";
}
