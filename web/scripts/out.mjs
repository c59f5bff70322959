import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** out is where the built console goes: the folder that the binary embeds. */
export const out = process.env.PARRY_CONSOLE_OUT ?? join(dirname(fileURLToPath(import.meta.url)), "..", "..", "internal", "console", "dist");
