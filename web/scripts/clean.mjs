// Empties the folder of the built console but for the file that is committed in it.
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { out } from "./out.mjs";

mkdirSync(out, { recursive: true });
for (const name of readdirSync(out)) {
  if (name !== ".gitignore") rmSync(join(out, name), { recursive: true });
}
