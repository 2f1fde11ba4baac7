// The HTML of mails as a reader meets it: in a browser, light and dark, on a phone and on a desk.
//
//     node looks.mjs FOLDER         FOLDER/<mail>.html, its pictures beside it
//
// Prints one JSON object: {"checked": {"axe": ["<mail>", …], "overflow": […]}, "complaints": [{mail, checker, rule, place, words}, …]}.

import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

import { open } from "./browser.mjs";
import { load } from "./checkers.mjs";

const axe = await load("axe-core");

/// Without axe's "best practices": they ask for a page's landmarks, which a mail has none of.
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"];
const SCHEMES = ["light", "dark"];
const WIDTHS = [320, 640];
/// How many pages are looked at at once.
const PAGES = 2;

const folder = process.argv[2];
const mails = fs.readdirSync(folder).filter((name) => name.endsWith(".html")).map((name) => path.basename(name, ".html")).sort();
const checked = { axe: [], overflow: [], pictures: [] };
const complaints = [];

const browser = await open();
const queue = [...mails];
await Promise.all(Array.from({ length: PAGES }, work));
await browser.close();
for (const list of Object.values(checked)) list.sort();
complaints.sort((a, b) => (a.mail + a.checker < b.mail + b.checker ? -1 : 1));
console.log(JSON.stringify({ checked, complaints }));

async function work() {
    for (let mail = queue.shift(); mail !== undefined; mail = queue.shift()) await look(mail);
}

async function look(mail) {
    const context = await browser.newContext({ javaScriptEnabled: true, viewport: { width: WIDTHS[0], height: 900 } });
    const page = await context.newPage();
    await page.goto(pathToFileURL(path.join(folder, `${mail}.html`)).href);
    // The page's own scripts, were there any, are a complaint of the other checker.
    await page.evaluate(axe.source);
    const told = new Set();
    const complain = (checker, rule, place, words) => {
        if (told.has(checker + rule + place)) return;
        told.add(checker + rule + place);
        complaints.push({ mail, checker, rule, place, words });
    };
    const broken = await page.evaluate(() => [...document.images].filter((img) => !img.naturalWidth).map((img) => img.getAttribute("src")));
    for (const picture of broken) complain("pictures", "shown", picture, "the picture is not shown");
    for (const scheme of SCHEMES) {
        for (const width of WIDTHS) {
            const circumstances = `${scheme}, ${width} px`;
            await page.emulateMedia({ colorScheme: scheme });
            await page.setViewportSize({ width, height: 900 });
            const wide = await page.evaluate(widest);
            if (wide) complain("overflow", `${width} px`, wide.place, `reaches to ${wide.right} px of ${width} (${scheme})`);
            const found = await page.evaluate((tags) => globalThis.axe.run(document, { runOnly: tags, resultTypes: ["violations"] }), RULES);
            for (const violation of found.violations) {
                for (const node of violation.nodes) {
                    const words = `${violation.help} (${circumstances}): ${node.failureSummary.split("\n").slice(1).join(" ").trim()}`;
                    complain("axe", violation.id, `${node.target.join(" ")} ${node.html.slice(0, 120)}`, words);
                }
            }
        }
    }
    checked.axe.push(mail);
    checked.overflow.push(mail);
    checked.pictures.push(mail);
    await context.close();
}

/// The element that reaches furthest to the right, if the page is wider than the window.
function widest() {
    if (document.documentElement.scrollWidth <= innerWidth) return null;
    let found = null;
    for (const element of document.querySelectorAll("*")) {
        const right = Math.ceil(element.getBoundingClientRect().right);
        // The innermost of those that reach as far is the cause.
        if (!found || right >= found.right) found = { right, place: element.outerHTML.slice(0, 160) };
    }
    return found;
}
