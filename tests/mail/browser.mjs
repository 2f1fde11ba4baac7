// Opening a headless Chromium that speaks to nobody.

import { load } from "./checkers.mjs";

const { chromium } = await load("playwright-core");

const QUIET = [
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-first-run",
    "--no-pings",
    // Nothing but files and this machine can be reached.
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE localhost , EXCLUDE 127.0.0.1",
];

export async function open() {
    const executablePath = process.env.RAMPKEEPER_TEST_CHROMIUM;
    if (!executablePath) {
        console.error("RAMPKEEPER_TEST_CHROMIUM is not set: start the tests with tests/run, which installs Chromium");
        process.exit(69);
    }
    // Chromium refuses its sandbox to root, which containers of tests run as.
    return chromium.launch({ executablePath, args: QUIET, chromiumSandbox: process.getuid() !== 0 });
}
