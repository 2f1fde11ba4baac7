// A site as a reader meets it: whether its HTML is correct, and how it looks in a browser, light and dark, on a phone and on
// a desk.
//
//     node site.mjs FOLDER
//
// Prints one JSON object: {"checked": {"html-validate": ["<page>", …], "axe": […]}, "complaints": [{page, checker, rule, place, words}, …]}.

import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

import { open } from "./browser.mjs";
import { load } from "./checkers.mjs";

const { HtmlValidate } = await load("html-validate");
const axe = await load("axe-core");

const SCHEMES = ["light", "dark"];
const WIDTHS = [320, 1280];

const validator = new HtmlValidate({
    extends: ["html-validate:recommended", "html-validate:a11y", "html-validate:document"],
    rules: {
        // Names come from tables; a title is as long as they are.
        "long-title": "off",
        // The one style sheet lies in the same folder.
        "require-sri": ["error", { target: "crossorigin" }],
    },
});

const folder = process.argv[2];
const pages = fs
    .readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith(".html"))
    .sort();
const checked = { "html-validate": [], axe: [] };
const complaints = [];

for (const page of pages) {
    const report = await validator.validateString(fs.readFileSync(path.join(folder, page), "utf8"));
    for (const found of report.results.flatMap((result) => result.messages)) {
        complaints.push({ page, checker: "html-validate", rule: found.ruleId, place: `${found.line}:${found.column}`, words: found.message });
    }
    checked["html-validate"].push(page);
}

const browser = await open();
for (const name of pages) {
    const context = await browser.newContext({ viewport: { width: WIDTHS[0], height: 900 }, bypassCSP: true });
    const page = await context.newPage();
    const wanted = [];
    page.on("request", (request) => wanted.push(request.url()));
    await page.goto(pathToFileURL(path.join(folder, name)).href);
    const complain = (checker, rule, place, words) => complaints.push({ page: name, checker, rule, place, words });
    for (const address of wanted.filter((address) => !address.startsWith("file:"))) complain("address", "elsewhere", address, "the page asks for it");
    await page.evaluate(() => document.querySelectorAll("img").forEach((img) => (img.loading = "eager")));
    await page.waitForLoadState("networkidle");
    const broken = await page.evaluate(() => [...document.images].filter((img) => !img.naturalWidth).map((img) => img.getAttribute("src")));
    for (const picture of broken) complain("pictures", "shown", picture, "the picture is not shown");
    await page.evaluate(axe.source);
    // What is folded is read as well.
    await page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = true)));
    for (const scheme of SCHEMES) {
        for (const width of WIDTHS) {
            await page.emulateMedia({ colorScheme: scheme });
            await page.setViewportSize({ width, height: 900 });
            const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
            if (wide > 0) complain("overflow", `${width} px`, scheme, `${wide} px too wide`);
            const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
            for (const violation of found.violations) {
                for (const node of violation.nodes) {
                    complain("axe", violation.id, `${node.target.join(" ")} ${node.html.slice(0, 120)}`, `${violation.help} (${scheme}, ${width} px)`);
                }
            }
        }
    }
    checked.axe.push(name);
    await context.close();
}
await browser.close();
console.log(JSON.stringify({ checked, complaints }));
