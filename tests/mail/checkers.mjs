// Where the checkers' packages lie: tests/run installs them outside of the checkout, so they are not found by name alone.

import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const folder = process.env.RAMPKEEPER_TEST_NODE;
if (!folder) {
    console.error("RAMPKEEPER_TEST_NODE is not set: start the tests with tests/run, which installs the checkers");
    process.exit(69);
}
const require = createRequire(path.join(folder, "package.json"));

/// Loads an installed package, whichever kind of module it is.
export const load = async (name) => {
    const loaded = await import(pathToFileURL(require.resolve(name)).href);
    return { ...loaded.default, ...loaded };
};
