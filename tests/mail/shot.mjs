// Pictures of mails and of the site's pages, to be looked at: on a phone and on a desk, light and dark.
//
//     node shot.mjs OUT PAGE.html …            OUT/PAGE.phone-light.png and so on, each of the whole page
//     node shot.mjs OUT --only desk-light …    one of phone-light, phone-dark, desk-light, desk-dark
//     node shot.mjs OUT --height 900 …         no more than so many CSS pixels of each page
//
// Mails are unpacked by `check.py FOLDER --keep PAGES` first: their HTML, with pictures as files. RAMPKEEPER_TEST_NODE and
// RAMPKEEPER_TEST_CHROMIUM are as tests/run sets them.

import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

import { open } from "./browser.mjs";

const SIZES = { phone: { width: 375, height: 812 }, desk: { width: 1100, height: 900 } };

const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { only: { type: "string", multiple: true }, height: { type: "string" } },
});
const [out, ...pages] = positionals;
if (!out || pages.length === 0) {
    console.error("usage: node shot.mjs OUT [--only phone-light] [--height PIXELS] PAGE.html …");
    process.exit(64);
}
fs.mkdirSync(out, { recursive: true });
const browser = await open();
for (const page of pages) {
    for (const [size, viewport] of Object.entries(SIZES)) {
        for (const scheme of ["light", "dark"]) {
            if (values.only && !values.only.includes(`${size}-${scheme}`)) continue;
            const context = await browser.newContext({ viewport, colorScheme: scheme, deviceScaleFactor: 2, isMobile: size === "phone" });
            const tab = await context.newPage();
            await tab.goto(pathToFileURL(path.resolve(page)).href);
            const full = await tab.evaluate(() => document.documentElement.scrollHeight);
            // Chromium draws no picture higher than this at two pixels each.
            const height = Math.min(full, Number(values.height ?? 8000), 8000);
            await tab.setViewportSize({ width: viewport.width, height });
            const file = path.join(out, `${path.basename(page, ".html")}.${size}-${scheme}.png`);
            await tab.screenshot({ path: file });
            console.log(`${file} (${viewport.width} × ${height} of ${full})`);
            await context.close();
        }
    }
}
await browser.close();
