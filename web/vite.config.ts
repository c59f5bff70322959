import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const here = dirname(fileURLToPath(import.meta.url));

/**
 * splitFonts writes Cloudscape's global styles without the eight fonts that they
 * carry as base64, and the fonts as files beside them: a page loads the two or three
 * that it shows, and the policy of the server admits no data: source.
 */
function splitFonts(): string {
  const require = createRequire(import.meta.url);
  const source = require.resolve("@cloudscape-design/global-styles/index.css");
  const out = join(here, "node_modules", ".parry", "global-styles");
  mkdirSync(out, { recursive: true });
  let fonts = 0;
  const css = readFileSync(source, "utf8").replace(/url\((["']?)data:(?:font|application)\/[\w-]+;[^)]*?base64,([A-Za-z0-9+/=]+)\1\)/g, (_all, _quote, data: string) => {
    const font = Buffer.from(data, "base64");
    const name = `open-sans-${createHash("sha256").update(font).digest("hex").slice(0, 8)}.woff2`;
    writeFileSync(join(out, name), font);
    fonts++;
    return `url("./${name}")`;
  });
  if (fonts === 0 || css.includes("data:")) {
    throw new Error(`${source} does not hold its fonts as this expects: ${fonts} were split off`);
  }
  const file = join(out, "index.css");
  writeFileSync(file, css);
  return file;
}

// In development the pages come from Vite and the answers from a server of one's own:
// PARRY_ENDPOINT=http://127.0.0.1:8080 npm run dev
const server = process.env.PARRY_ENDPOINT ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [react()],
  resolve: { alias: [{ find: /^@cloudscape-design\/global-styles\/index\.css$/, replacement: splitFonts() }] },
  build: {
    outDir: process.env.PARRY_CONSOLE_OUT ?? join(here, "..", "internal", "console", "dist"),
    emptyOutDir: false, // the folder holds a file that is committed; scripts/clean.mjs empties it
    assetsInlineLimit: 0, // no data: source
    manifest: ".vite/manifest.json",
    modulePreload: { polyfill: false }, // it is an inline script
    target: "es2022",
    reportCompressedSize: false,
    chunkSizeWarningLimit: 2000,
  },
  preview: { host: "127.0.0.1", proxy: { "/v1": { target: server, changeOrigin: false } } },
  server: { host: "127.0.0.1", proxy: { "/v1": { target: server, changeOrigin: false } } },
  test: { include: ["src/**/*.test.ts"], environment: "node" },
} as Parameters<typeof defineConfig>[0]);
